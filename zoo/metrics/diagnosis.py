"""Diagnoses of adversarial training from the numbers of callbacks/health.py."""

import math
from typing import Any

# Thresholds, from healthy runs and provoked failures on digits; the values are in
# docs/stability.md.
PATIENCE = 3  # consecutive measurements in which a condition must hold, against outliers
GRACE = 10  # first measurements, in which diversity is not judged: it is low before training
WARMUP = 50  # measurements, of 100 batches, after which samples must be diverse
MIN_DIVERSITY = 0.3  # real digits of a single class have 0.57 to 0.86
COLLAPSED_DIVERSITY = 0.02  # untrained generators have at least 0.04
PERFECT_SEPARATION = 0.995  # in a batch of 64, one generated image scores above a few real ones
VANISHED_RATIO = 0.1  # of the generator's gradient to its first values; healthy: it grows
EXPLODED_RATIO = 100.0  # of the adversary's gradient to its first values; healthy: at most 7
MAX_SPECTRAL_NORM = 100.0  # below 9 in healthy runs
MAX_GAP_RATIO = 10.0  # to the gap of a critic with slope 1, 2 √d for d pixels, or to 40


class Diagnosis:
    """The findings in a run so far, as plain values that checkpoints can store."""

    STATE = ("count", "starts", "peaks", "measurements", "findings")

    def __init__(self) -> None:
        self.count = 0  # of measurements so far
        # The largest numbers of the first measurements, and of all.
        self.starts: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self.measurements: list[dict[str, Any]] = []  # the last ones: {"batch": b, name: number}
        self.findings: list[
            dict[str, Any]
        ] = []  # {"what": ..., "since": batch, "until": batch or None, "why": ...}

    @property
    def state(self) -> dict[str, Any]:
        """The attributes as a dict, for checkpoints."""
        return {name: getattr(self, name) for name in self.STATE}

    @state.setter
    def state(self, values: dict[str, Any]) -> None:
        for name in self.STATE:
            setattr(self, name, values[name])

    def update(
        self, batch: int, numbers: dict[str, float], adversary: str = "", reach: float = math.inf
    ) -> list[dict[str, Any]]:
        """Add the numbers of a batch.

        Args:
            batch: The batch.
            numbers: {name: number} of the batch.
            adversary: The adversary's name in `numbers`.
            reach: The largest gap of scores that does not count as an explosion.

        Returns:
            The findings of a new kind that start with this batch.
        """
        new: list[dict[str, Any]] = []
        self.adversary, self.reach = adversary, reach
        self.count += 1
        self.measurements = [*self.measurements, {"batch": batch, **numbers}][-PATIENCE:]
        largest = [self.peaks] + [self.starts] * (self.count <= PATIENCE)
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        for values in largest:  # fp16 steps that overflow are skipped
            values |= {name: max(value, values.get(name, value)) for name, value in finite.items()}
        for what, (condition, words) in CONDITIONS.items():
            holds = len(self.measurements) == PATIENCE and all(
                condition(self, w) for w in self.measurements
            )
            same_kind = [finding for finding in self.findings if finding["what"] == what]
            lasting = [finding for finding in same_kind if finding["until"] is None]
            if holds and not lasting:
                since, why = self.measurements[0]["batch"], words(self, self.measurements[-1])
                self.findings.append({"what": what, "since": since, "until": None, "why": why})
                new += [] if same_kind else self.findings[-1:]
            for finding in lasting if not holds else ():
                finding["until"] = batch
        return new

    def collapsed(self, measurement: dict[str, Any]) -> bool:
        """Return whether generated images vary too little."""
        level = measurement.get("diversity", math.inf)
        fallen = level < COLLAPSED_DIVERSITY or level < min(
            MIN_DIVERSITY, self.peaks.get("diversity", 0) / 2
        )
        return (self.count >= GRACE + PATIENCE and fallen) or (
            self.count >= WARMUP + PATIENCE
            and measurement["batch"] >= 100 * WARMUP
            and level < MIN_DIVERSITY
        )

    def vanished(self, measurement: dict[str, Any]) -> bool:
        """Return whether the adversary makes no errors and another player's gradient vanished."""
        return (
            measurement.get("separation", 0.0) > PERFECT_SEPARATION
            and self.faded(measurement) is not None
        )

    def faded(self, measurement: dict[str, Any]) -> str | None:
        """Return the name of another player's gradient that has fallen to a tenth, or None."""
        others = {n for n in self.starts if n.endswith("_gradient")}
        others -= {f"{self.adversary}_gradient"}
        fallen = (
            n
            for n in sorted(others)
            if measurement.get(n, math.inf) < VANISHED_RATIO * self.starts[n]
        )
        return next(fallen, None)

    def exploding(self, measurement: dict[str, Any]) -> bool:
        """Return whether the adversary's scores, gradient or weights explode."""
        return bool(self.beyond(measurement))

    def beyond(self, measurement: dict[str, Any]) -> str:
        """Describe the numbers of the adversary that explode."""
        name = f"{self.adversary}_gradient"
        gradient, start = measurement.get(name, 0), self.starts.get(name, math.inf)
        gap, stretch = abs(measurement.get("gap", 0)), measurement.get("spectral_norm", 0)
        words = []
        if not gap <= self.reach:
            words.append(f"the gap of its scores is {gap:.3g}")
        if not gradient <= EXPLODED_RATIO * start:
            words.append(f"the norm of its gradient grew from {start:.3g} to {gradient:.3g}")
        if not stretch <= MAX_SPECTRAL_NORM:
            words.append(f"the spectral norm of a layer is {stretch:.3g}")
        return ", ".join(words)

    def verdict(self) -> str:
        """Return the diagnosis in one line."""
        now = [f"{f['what']} since batch {f['since']}" for f in self.findings if not f["until"]]
        then = [
            f"{f['what']} from batch {f['since']} to {f['until']}"
            for f in self.findings
            if f["until"]
        ]
        if now:
            return ", ".join(now + then)
        if self.count < PATIENCE:
            return f"too few measurements for a verdict: {self.count}"
        return "healthy at the end, but " + ", ".join(then) if then else "healthy"


CONDITIONS = {
    "mode collapse": (
        Diagnosis.collapsed,
        lambda self, measurement: (
            f"the diversity of generated images is {measurement['diversity']:.2g} of that of real "
            f"ones (at most {self.peaks['diversity']:.2g} before). Try lower learning rates, "
            "another loss (wgan_gp, sngan), or +callbacks=[augment] for few images."
        ),
    ),
    "vanished generator gradient": (
        Diagnosis.vanished,
        lambda self, measurement: (
            f"its norm fell from {self.starts[self.faded(measurement)]:.2g} to "
            f"{measurement[self.faded(measurement)]:.2g}, and the adversary misranks "
            f"{1 - measurement['separation']:.1%} of pairs. Try model.saturating=false, a lower "
            "learning rate for the adversary, +callbacks=[instance_noise], or wgan_gp."
        ),
    ),
    "exploding critic": (
        Diagnosis.exploding,
        lambda self, measurement: (
            f"{self.beyond(measurement)}. Its slope is not bounded. Try model.clip, "
            "model.spectral_norm=true, wgan_gp, +callbacks=[r1], or lower learning rates."
        ),
    ),
}
