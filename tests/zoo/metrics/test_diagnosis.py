"""From numbers to words: when a condition begins, lasts and ends."""

import math

import pytest

from zoo.metrics.diagnosis import Diagnosis

HEALTHY = {
    "generator_gradient": 1.0,
    "critic_gradient": 1.0,
    "spectral_norm": 2.0,
    "separation": 0.9,
    "gap": 3.0,
    "diversity": 0.8,
}


def diagnose(*measurements, diagnosis=None):
    """(the messages at each measurement, the diagnosis); measurements are 100 batches apart."""
    diagnosis, news = diagnosis or Diagnosis(), []
    for changes in measurements:
        batch = 100 * (diagnosis.count + 1)
        news.append(diagnosis.update(batch, HEALTHY | changes, "critic", 400.0))
    return [[new["what"] for new in of] for of in news], diagnosis


ILL = {
    "mode collapse": {"diversity": 0.2},
    "vanished generator gradient": {"generator_gradient": 0.09, "separation": 0.999},
    "exploding critic": {"gap": -500.0},
}


def test_health_is_silent():
    news, diagnosis = diagnose(*[{}] * 20)
    assert not any(news)
    assert diagnosis.verdict() == "healthy"


@pytest.mark.parametrize("what", ILL)
def test_a_condition_is_reported_once_after_three_measurements(what):
    news, diagnosis = diagnose(*[{}] * 14, *[ILL[what]] * 5)
    assert [batch for batch, new in enumerate(news, start=1) if new] == [17]
    assert news[16] == [what]
    assert diagnosis.verdict() == f"{what} since batch 1500"
    news, _ = diagnose(*[{}] * 3, *[ILL[what]] * 5, diagnosis=diagnosis)
    assert not any(news), "it recurs"
    recovered = f"{what} from batch 1500 to 2000"
    assert diagnosis.verdict() == f"{what} since batch 2300, {recovered}"
    diagnose({}, diagnosis=diagnosis)
    assert diagnosis.verdict().startswith(f"healthy at the end, but {recovered}, {what} from")


@pytest.mark.parametrize("what", ILL)
def test_an_outlier_or_two_are_not_reported(what):
    news, diagnosis = diagnose(*[{}] * 14, *[ILL[what], ILL[what], {}] * 5)
    assert not any(news)
    assert diagnosis.verdict() == "healthy"


@pytest.mark.parametrize(
    "changes",
    [
        {"diversity": 0.31},
        {"generator_gradient": 0.01},  # the adversary errs
        {"separation": 1.0},  # the generator learns
        {"generator_gradient": 0.11, "separation": 1.0},
        {"generator_gradient": 1e4},
        {"gap": 390.0},
        {"critic_gradient": 99.0},
        {"spectral_norm": 99.0},
    ],
)
def test_what_is_within_bounds_is_healthy(changes):
    news, _ = diagnose(*[{}] * 14, *[changes] * 5)
    assert not any(news)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gap": 500.0}, "the gap of its scores is 500"),
        ({"gap": float("nan")}, "the gap of its scores is nan"),
        ({"critic_gradient": 200.0}, "the norm of its gradient grew from 1 to 200"),
        ({"spectral_norm": 150.0}, "the spectral norm of a layer is 150"),
    ],
)
def test_each_way_to_explode(changes, words):
    _, diagnosis = diagnose(*[{}] * 4, *[changes] * 3)
    assert diagnosis.findings[0]["why"].startswith(words)


def test_a_vanished_gradient_is_reported_with_its_numbers():
    _, diagnosis = diagnose(*[{}] * 4, *[ILL["vanished generator gradient"]] * 3)
    words = "its norm fell from 1 to 0.09, and the adversary misranks 0.1% of pairs. Try "
    assert diagnosis.findings[0]["why"].startswith(words)


def test_samples_are_diagnosed_only_after_a_while():
    """One image is a collapse after 10 measurements, a low diversity after 50."""
    news, _ = diagnose(*[{"diversity": 0.0}] * 14)
    assert [batch for batch, new in enumerate(news, start=1) if new] == [13]
    news, _ = diagnose(*[{"diversity": 0.1}] * 60)
    assert [batch for batch, new in enumerate(news, start=1) if new] == [53]
    news, _ = diagnose(*[{"diversity": 0.05 + 0.01 * step} for step in range(60)])
    assert not any(news)


def test_a_model_without_an_adversary_or_too_short_a_run():
    diagnosis = Diagnosis()
    for batch in range(2):
        assert not diagnosis.update(batch, {"decoder_gradient": 1.0})
    assert diagnosis.verdict() == "too few measurements for a verdict: 2"
    diagnosis.update(2, {"decoder_gradient": 1.0})
    assert diagnosis.verdict() == "healthy"


def test_its_state_continues():
    _, first = diagnose(*[{}] * 14, *[ILL["mode collapse"]] * 2)
    second = Diagnosis()
    second.state = first.state
    news, _ = diagnose(ILL["mode collapse"], diagnosis=second)
    assert news == [["mode collapse"]]


@pytest.mark.parametrize("overflow", [math.inf, math.nan])
def test_steps_of_fp16_that_overflow_are_no_start(overflow):
    diagnosis = Diagnosis()
    for measurement in range(8):
        value = overflow if measurement in (1, 2) else 0.3
        numbers = {"generator_gradient": value, "discriminator_gradient": value, "separation": 1.0}
        diagnosis.update(100 * measurement, numbers, "discriminator")
    assert diagnosis.verdict() == "healthy"


def test_another_players_gradient_may_vanish_too():
    diagnosis = Diagnosis()
    for measurement in range(8):
        numbers = {"encoder_gradient": 1.0 if measurement < 3 else 0.01, "separation": 1.0}
        diagnosis.update(100 * measurement, numbers, "discriminator")
    assert diagnosis.verdict() == "vanished generator gradient since batch 300"


@pytest.mark.parametrize(("cadence", "verdict"), [(1, "healthy"), (100, "mode collapse")])
def test_samples_have_batches_to_begin_to_vary_however_often_they_are_watched(cadence, verdict):
    diagnosis = Diagnosis()
    for measurement in range(60):
        diagnosis.update(cadence * measurement, {"diversity": 0.1})
    assert diagnosis.verdict().startswith(verdict)
