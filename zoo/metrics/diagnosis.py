"""Diagnoses of adversarial training from the numbers of callbacks/health.py."""

import math
from typing import Any

# Thresholds, from healthy and from provoked runs on digits; docs/stability.md has the numbers.
PATIENCE = 3  # watches in a row in which a condition must hold: a single batch may be odd
GRACE = 10  # watches before samples are judged: an untrained generator's are nearly alike
BIRTH = 50  # watches, of 100 batches, after which samples must vary even if they never did
VARIED = 0.3  # diversity; real digits of one class alone have 0.57 to 0.86
CONSTANT = 0.02  # diversity; below that of any untrained generator that was seen, 0.04
SURE = 0.995  # separation; at a batch of 64, one generated image above a few real ones
TENTH = 0.1  # of another player's gradient in its first watches; in health it grows from there
GROWN = 100.0  # times the adversary's gradient in its first watches; at most 7 in health
STRETCHED = 100.0  # spectral norm; below 9 in health
BEYOND = 10.0  # times the gap of a critic of slope 1 (2 √d for images of d numbers), or of ±20


class Diagnosis:
    """The findings in the watches of a run so far; plain values, which a checkpoint can hold."""

    STATE = ("count", "starts", "peaks", "watches", "findings")

    def __init__(self) -> None:
        self.count = 0  # of watches so far
        # The largest numbers of the first watches, and of all.
        self.starts: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self.watches: list[dict[str, Any]] = []  # the last ones: {"batch": b, name: number}
        self.findings: list[
            dict[str, Any]
        ] = []  # {"what": ..., "since": batch, "until": batch or None, "why": ...}

    @property
    def state(self) -> dict[str, Any]:
        """The attributes as a dict, which a checkpoint holds."""
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
            reach: The largest gap of scores that is not an explosion.

        Returns:
            The findings of a new kind that begin with this batch.
        """
        new: list[dict[str, Any]] = []
        self.adversary, self.reach = adversary, reach
        self.count += 1
        self.watches = [*self.watches, {"batch": batch, **numbers}][-PATIENCE:]
        largest = [self.peaks] + [self.starts] * (self.count <= PATIENCE)
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        for values in largest:  # steps of fp16 may overflow, and are skipped
            values |= {name: max(value, values.get(name, value)) for name, value in finite.items()}
        for what, (condition, words) in CONDITIONS.items():
            holds = len(self.watches) == PATIENCE and all(condition(self, w) for w in self.watches)
            known = [finding for finding in self.findings if finding["what"] == what]
            lasting = [finding for finding in known if finding["until"] is None]
            if holds and not lasting:
                since, why = self.watches[0]["batch"], words(self, self.watches[-1])
                self.findings.append({"what": what, "since": since, "until": None, "why": why})
                new += [] if known else self.findings[-1:]
            for finding in lasting if not holds else ():
                finding["until"] = batch
        return new

    def collapsed(self, watch: dict[str, Any]) -> bool:
        """Return whether generated images vary too little."""
        level = watch.get("diversity", math.inf)
        fallen = level < CONSTANT or level < min(VARIED, self.peaks.get("diversity", 0) / 2)
        return (self.count >= GRACE + PATIENCE and fallen) or (
            self.count >= BIRTH + PATIENCE and watch["batch"] >= 100 * BIRTH and level < VARIED
        )

    def vanished(self, watch: dict[str, Any]) -> bool:
        """Return whether the adversary makes no errors and another player's gradient vanished."""
        return watch.get("separation", 0.0) > SURE and self.faded(watch) is not None

    def faded(self, watch: dict[str, Any]) -> str | None:
        """Return the name of another player's gradient below a tenth of its start, or None."""
        others = {n for n in self.starts if n.endswith("_gradient")}
        others -= {f"{self.adversary}_gradient"}
        fallen = (n for n in sorted(others) if watch.get(n, math.inf) < TENTH * self.starts[n])
        return next(fallen, None)

    def exploding(self, watch: dict[str, Any]) -> bool:
        """Return whether the adversary's scores, gradient or weights explode."""
        return bool(self.beyond(watch))

    def beyond(self, watch: dict[str, Any]) -> str:
        """Return which numbers of the adversary explode, in words."""
        name = f"{self.adversary}_gradient"
        gradient, start = watch.get(name, 0), self.starts.get(name, math.inf)
        gap, stretch = abs(watch.get("gap", 0)), watch.get("spectral_norm", 0)
        words = []
        if not gap <= self.reach:
            words.append(f"its scores are {gap:.3g} apart")
        if not gradient <= GROWN * start:
            words.append(f"its gradient's norm went from {start:.3g} to {gradient:.3g}")
        if not stretch <= STRETCHED:
            words.append(f"a layer stretches {stretch:.3g} times")
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
            return f"too short to judge: {self.count} watches"
        return "healthy at the end, but " + ", ".join(then) if then else "healthy"


CONDITIONS = {
    "mode collapse": (
        Diagnosis.collapsed,
        lambda self, watch: (
            f"generated images vary {watch['diversity']:.2g} as much as real ones "
            f"(at most {self.peaks['diversity']:.2g} before). Lower rates, another loss "
            "(wgan_gp, sngan), +callbacks=[augment] for few images."
        ),
    ),
    "vanished generator gradient": (
        Diagnosis.vanished,
        lambda self, watch: (
            f"its norm went from {self.starts[self.faded(watch)]:.2g} to "
            f"{watch[self.faded(watch)]:.2g}, and the adversary errs in "
            f"{1 - watch['separation']:.1%} of pairs. model.saturating=false, a slower adversary, "
            "+callbacks=[instance_noise], or wgan_gp."
        ),
    ),
    "exploding critic": (
        Diagnosis.exploding,
        lambda self, watch: (
            f"{self.beyond(watch)}. Nothing bounds its slope: model.clip, "
            "model.spectral_norm=true, wgan_gp, +callbacks=[r1], or lower rates."
        ),
    ),
}
