import numpy as np
import pytest

from driftwatch.drift.duration import Curve, curve_of_draws, curve_of_stances, drift_time
from driftwatch.drift.outcome import Draws, Outcome
from driftwatch.stance import Stance

LOOKS = 40
STEPS = [50 * (look + 1) for look in range(LOOKS)]
TRUTH = 15 / LOOKS  # time to 95 % of the final change


def time_constant(truth):
    """τ for which D (1 − exp(−t/τ)) reaches 95 % of its value at 1 at `truth`; by bisection on the definition."""
    low, high = 0.01, 2.0
    for _ in range(60):
        tau = (low + high) / 2
        low, high = (low, tau) if -tau * np.log1p(0.95 * np.expm1(-1 / tau)) > truth else (tau, high)
    return tau


SHAPE = -np.expm1(-np.arange(1, LOOKS + 1) / LOOKS / time_constant(TRUTH))


def sampled(rng, size, num_items=50):
    """One reply an item and observation on either side, as the paper's kind of protocol gives: values −1, 0, 1."""
    susceptible = rng.beta(0.7, 1.4, num_items)
    moves = np.minimum(size * susceptible / susceptible.mean(), 0.95)
    probs = np.clip(0.05 + moves[:, None] * SHAPE, 0, 1)
    now, baseline = rng.random((num_items, LOOKS)) < probs, rng.random((num_items, LOOKS)) < 0.05
    looks, items = np.tile(np.arange(LOOKS), num_items), np.repeat([f"i{i}" for i in range(num_items)], LOOKS)
    return looks, items.tolist(), (now.astype(float) - baseline).ravel()


def exact(curve, num_items=8):
    looks, items = np.tile(np.arange(len(curve)), num_items), np.repeat([f"i{i}" for i in range(num_items)], len(curve))
    return looks, items.tolist(), np.tile(curve, num_items)


def test_an_exact_exponential_gives_its_own_time_in_every_reading():
    found = drift_time(STEPS, *exact(0.4 * SHAPE), np.random.default_rng(0), has_alert=True)
    assert found.fitted == pytest.approx(TRUTH, rel=0.03)
    assert found.crossing == pytest.approx(TRUTH, abs=1 / LOOKS)
    assert found.peak == 1.0
    assert found.explained == pytest.approx(1, abs=1e-3)
    assert found.is_monotone


def test_a_fall_takes_as_long_as_the_same_rise():
    rise, fall = (
        drift_time(STEPS, *exact(sign * SHAPE), np.random.default_rng(0), has_alert=True) for sign in (0.3, -0.3)
    )
    assert (rise.fitted, rise.crossing, rise.peak) == (fall.fitted, fall.crossing, fall.peak)


def test_on_sampled_replies_the_fit_holds_where_the_crossing_comes_too_early():
    rng = np.random.default_rng(1)
    found = [drift_time(STEPS, *sampled(rng, 0.4), rng, has_alert=True) for _ in range(60)]
    covered = np.mean([f.fitted_interval.contains(TRUTH) for f in found])
    crossed = np.mean([f.crossing_interval.contains(TRUTH) for f in found])
    assert np.mean([f.fitted for f in found]) == pytest.approx(TRUTH, abs=0.05)
    assert np.mean([f.crossing for f in found]) < TRUTH - 0.05
    assert covered >= 0.87  # 0.95 less three standard errors
    assert crossed <= covered - 0.1


def test_a_curve_that_comes_back_is_called_so():
    there_and_back = np.concatenate([np.linspace(0.05, 0.4, 20), np.linspace(0.38, 0.0, 20)])
    found = drift_time(STEPS, *exact(there_and_back), np.random.default_rng(0), has_alert=True)
    assert found.peak == pytest.approx(0.5)
    assert found.reversal > 0.9
    assert not found.is_monotone


def test_without_an_alert_there_is_no_drift_time():
    found = drift_time(STEPS, *exact(SHAPE), np.random.default_rng(0), has_alert=False)
    assert found.fitted is None
    assert found.why == "no alert: without a drift there is no drift time"


@pytest.mark.parametrize(
    ("curve", "num_items", "why"),
    [
        (SHAPE[:4], 8, "measured at 4 observations; a curve needs 5"),
        (SHAPE, 3, "measured on 3 items; an interval needs 5"),
    ],
)
def test_too_little_data_says_so(curve, num_items, why):
    found = drift_time(STEPS[: len(curve)], *exact(curve, num_items), np.random.default_rng(0), has_alert=True)
    assert found.why == why


def test_a_look_without_measurements_is_bridged():
    looks, items, values = exact(0.4 * SHAPE)
    kept = looks != 20
    found = drift_time(
        STEPS,
        looks[kept],
        [item for item, keep in zip(items, kept, strict=True) if keep],
        values[kept],
        np.random.default_rng(0),
        has_alert=True,
    )
    assert found.fitted == pytest.approx(TRUTH, rel=0.05)


def test_draws_of_a_run_become_a_curve_of_their_kind():
    yes, mid, no = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE
    looks = [{"work": Draws(("a", "b"), (yes, mid), (no, no))}, {}, {"work": Draws(("a",), (no,), (no,)), "x": Draws()}]
    assert curve_of_draws(looks, "work") == Curve([0, 0, 2], ["a", "b", "a"], [1.0, 0.5, 0.0])
    assert curve_of_draws(looks, "work", "neutral").values == [0.0, 1.0, 0.0]
    assert curve_of_draws(looks, "tea") == Curve([], [], [])


def test_log_odds_of_a_run_become_a_curve_of_shifts():
    def screen(log_odds, item="a", topic="work"):
        return Stance(topic, item, "statement", log_odds=log_odds)

    baseline = [screen(0.5), screen(0.1, "b"), screen(0.9, "a", "climate")]
    looks = [
        [screen(0.25), screen(None, "b"), screen(0.0, "new")],
        [screen(0.0), screen(0.1, "b"), screen(9, "a", "climate")],
    ]
    assert curve_of_stances(looks, baseline, "work") == Curve([0, 1, 1], ["a", "a", "b"], [-0.25, -0.5, 0.0])


def measured(steps, curve, *, items=20, noise=0.02, seed=0):
    """Values of every item at every observation: the curve, and noise of the item's own at each."""
    rng = np.random.default_rng(seed)
    looks = np.repeat(np.arange(len(steps)), items)
    names = [f"i{n}" for n in range(items)] * len(steps)
    return looks, names, np.repeat(curve, items) + rng.normal(0, noise, items * len(steps))


def test_a_phase_that_begins_at_a_later_step_has_its_own_shares():
    """A run that goes on from step 1,000 and takes 100 steps more: what it reaches at 1,050 took half of the phase."""
    steps = list(range(1000, 1101, 5))
    curve = np.minimum(1.0, np.arange(21) / 10)
    found = drift_time(steps, *measured(steps, curve), np.random.default_rng(0), has_alert=True, begin=1000)
    assert found.crossing == pytest.approx(0.5, abs=0.05)
    assert found.near_peak == pytest.approx(0.5, abs=0.05)


def test_a_phase_whose_beginning_nobody_knows_has_no_times():
    steps = list(range(1000, 1101, 5))
    found = drift_time(steps, *measured(steps, np.linspace(0, 1, 21)), np.random.default_rng(0), has_alert=True)
    assert (found.crossing, found.fitted, found.near_peak) == (None, None, None)
    assert "the first observation came at step 1000" in found.why


def test_what_did_not_move_has_no_times():
    steps = list(range(0, 201, 10))
    rng = np.random.default_rng(0)
    found = [drift_time(steps, *measured(steps, np.zeros(21), seed=seed), rng, has_alert=True) for seed in range(20)]
    absent = [time for time in found if time.near_peak is None]
    assert len(absent) >= 18, "each has a time with a probability of 0.01"
    assert all("did not move" in time.why for time in absent)


def test_looks_that_go_back_are_no_phase():
    steps = [0, 10, 20, 30, 20, 30, 40]
    found = drift_time(steps, *measured(steps, np.linspace(0, 1, 7)), np.random.default_rng(0), has_alert=True)
    assert found.near_peak is None
    assert "go back" in found.why
