"""duration: the paper's drift time, for topics that alerted.

"Value Drifts" (arXiv 2510.26707) defines drift time as the share of a phase's steps until the stance probability
reaches its extremum. This can be read in two ways, and both are given under names of their own: the share until the
curve first enters the 95 % interval of its extremum, and the share until the extremum itself.

Both need nearly noiseless curves. On sampled replies a first crossing comes too early, as noise gets there first (in a
simulation after 5 of 40 observations where the truth is 15), and its bootstrap interval misses the truth. For sampled
replies a saturating exponential D (1 − exp(−t/τ)) is therefore fitted. Its 95 % point is about unbiased and its
interval holds, as far as the curve has that shape, so look at the curve.

A topic that did not alert has no drift time: the extremum of noise is an arbitrary observation.

Shape letters: N measurements, L observations, I items, R resamples, A candidate time constants.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftwatch.drift.interval import LEVEL, MIN_CLUSTERS, Interval, t_quantile
from driftwatch.drift.outcome import KINDS, SHIFT_KP, Draws
from driftwatch.stance import Stance

Floats = NDArray[np.float64]

SHARE = 0.95  # share of the final change that the crossing and the fit wait for
MIN_LOOKS = 5
NUM_RESAMPLES = 400
FIRST_LOOK = 2.0  # the first observation of a phase from step 0 comes within so many intervals between observations
MOVED_ERROR = 0.01  # probability that a curve that did not move is given a time
MAX_REVERSAL = 0.25  # share of the curve's rise; one time constant does not describe a larger reversal


@dataclass(frozen=True, slots=True)
class DriftTime:
    """How long a drift took, as shares of the phase, in [0, 1]; `None` with a reason in `why`.

    Attributes:
        fitted: Time to 95 % of the final change on the fitted curve; use it for sampled replies.
        fitted_interval: 95 % interval of `fitted`, resampling items.
        crossing: First crossing of 95 % of the final change on the raw curve; use it for exact probes.
        crossing_interval: 95 % interval of `crossing`, resampling items.
        peak: Time of the extremum, the literal reading of the paper.
        near_peak: Time at which the curve first enters the 95 % interval of its extremum, the other reading.
        explained: Share of the curve's variance that the fit explains, at most 1.
        reversal: Largest fall of the curve back toward 0, smoothed over an eighth of the observations, as a share of
            its rise.
        is_monotone: Whether `reversal` is at most a quarter. If not, read the onset of the evidence instead of a time.
            On few sampled replies a drift below 0.3 looks non-monotone by noise alone.
        why: Why there is no drift time; `None` where there is one.
    """

    fitted: float | None = None
    fitted_interval: Interval | None = None
    crossing: float | None = None
    crossing_interval: Interval | None = None
    peak: float | None = None
    near_peak: float | None = None
    explained: float | None = None
    reversal: float | None = None
    is_monotone: bool | None = None
    why: str | None = None


def drift_time(
    steps: Sequence[int],
    looks: ArrayLike,
    items: Sequence[str],
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    has_alert: bool,
    begin: int | None = None,
) -> DriftTime:
    """Drift time of one topic and one signed figure, for example the draws of one kind or the screen's log-odds shifts.

    Args:
        steps: Optimizer step of each observation, ascending, shape (L,); the phase ends at the last.
        looks: Index of the observation of each measurement, shape (N,).
        items: Item of each measurement.
        values: Change since the baseline of each measurement.
        rng: Draws the resamples of the intervals.
        has_alert: Whether the topic alerted.
        begin: Step at which the phase begins. `None` takes step 0, unless the first observation came much later than
            the observations lie apart: the phase then began at an unknown step, and there is no drift time.
    """
    look_N, value_N = np.asarray(looks, int), np.asarray(values, float)
    why = _why_not(steps, look_N, items, has_alert, begin)
    if why is not None:
        return DriftTime(why=why)
    sums_IL, counts_IL = _by_item(look_N, items, value_N, len(steps))
    start = begin or 0
    share_L = (np.asarray(steps, float) - start) / (steps[-1] - start)
    curve_L = _curves(sums_IL, counts_IL, np.ones((1, len(sums_IL))))[0]
    picks_RI = rng.multinomial(len(sums_IL), np.full(len(sums_IL), 1 / len(sums_IL)), NUM_RESAMPLES).astype(float)
    curves_RL = _curves(sums_IL, counts_IL, picks_RI)
    (fitted,), explained = _fit(share_L, curve_L[None])
    resampled, _ = _fit(share_L, curves_RL)
    toward = 1.0 if curve_L[np.abs(curve_L).argmax()] > 0 else -1.0
    top = int((toward * curve_L).argmax())
    if not _moved(toward * curves_RL[:, top], len(sums_IL), len(set(look_N.tolist()))):
        return DriftTime(why="the curve does not differ from 0 beyond chance: what did not move has no drift time")
    reversal = _reversal(toward * _smooth(curve_L))
    peak_ends = np.quantile(toward * curves_RL[:, top], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return DriftTime(
        fitted=float(fitted),
        fitted_interval=_interval(resampled),
        crossing=_crossing(share_L, curve_L),
        crossing_interval=_interval(np.array([_crossing(share_L, curve) for curve in curves_RL], float)),
        peak=float(share_L[top]),
        near_peak=float(share_L[np.argmax(toward * curve_L >= peak_ends[0])]),
        explained=explained,
        reversal=reversal,
        is_monotone=reversal <= MAX_REVERSAL,
    )


class Curve(NamedTuple):
    """Measurements of one figure over a run; pass them on as `drift_time(steps, *curve, rng, …)`."""

    looks: list[int]
    items: list[str]
    values: list[float]


def curve_of_draws(
    looks: Sequence[Mapping[str, Draws]], topic: str, kind: Literal["direction", "neutral"] = "direction"
) -> Curve:
    """The draws of one topic and kind over a run, observation by observation.

    Args:
        looks: Draws by topic of every observation, in order.
        topic: Id of the topic.
        kind: Kind of drift.
    """
    curve = Curve([], [], [])
    for number, look in enumerate(looks):
        draws = look.get(topic, Draws())
        curve.looks.extend([number] * len(draws))
        curve.items.extend(draws.items)
        curve.values.extend(SHIFT_KP[KINDS.index(kind)][draws.pairs_N].tolist())
    return curve


def curve_of_stances(
    looks: Sequence[Sequence[Stance]], baseline: Sequence[Stance], topic: str, probe: str = "statement"
) -> Curve:
    """The log-odds shifts of one topic over a run, by item, for an exact probe.

    Args:
        looks: Stances of every observation, in order.
        baseline: Stances of the baseline, with which they are compared.
        topic: Id of the topic.
        probe: Name of the probe.
    """
    before = {s.item: s.log_odds for s in baseline if (s.topic, s.probe) == (topic, probe)}
    curve = Curve([], [], [])
    for number, look in enumerate(looks):
        for stance in look:
            start = before.get(stance.item)
            if (stance.topic, stance.probe) == (topic, probe) and stance.log_odds is not None and start is not None:
                curve.looks.append(number)
                curve.items.append(stance.item)
                curve.values.append(stance.log_odds - start)
    return curve


def _moved(heights_R: Floats, num_items: int, num_looks: int) -> bool:
    """Whether the extremum differs from 0 beyond chance, given that each observation is one more chance."""
    error = float(heights_R.std()) * math.sqrt(num_items / (num_items - 1))
    return bool(heights_R.mean() > t_quantile(1 - MOVED_ERROR / (2 * num_looks), num_items - 1) * error)


def _why_not(
    steps: Sequence[int], look_N: NDArray[np.int64], items: Sequence[str], has_alert: bool, begin: int | None
) -> str | None:
    if not has_alert:
        return "no alert: without a drift there is no drift time"
    if len(set(look_N.tolist())) < MIN_LOOKS:
        return f"measured at {len(set(look_N.tolist()))} observations; a curve needs {MIN_LOOKS}"
    if len(set(items)) < MIN_CLUSTERS:
        return f"measured on {len(set(items))} items; an interval needs {MIN_CLUSTERS}"
    if any(later < earlier for earlier, later in pairwise(steps)):
        return "the observations go back to an earlier step: what was trained since is not part of this phase"
    if begin is None and steps[0] > FIRST_LOOK * max(
        (later - earlier for earlier, later in pairwise(steps)), default=0
    ):
        return f"the first observation came at step {steps[0]}, and where the phase began is not known"
    if steps[-1] <= (begin or 0):
        return "the phase has no steps"
    return None


def _by_item(look_N: NDArray[np.int64], items: Sequence[str], value_N: Floats, num_looks: int) -> tuple[Floats, Floats]:
    index = {item: i for i, item in enumerate(dict.fromkeys(items))}
    item_N = np.array([index[item] for item in items], int)
    sums_IL, counts_IL = np.zeros((len(index), num_looks)), np.zeros((len(index), num_looks))
    np.add.at(sums_IL, (item_N, look_N), value_N)
    np.add.at(counts_IL, (item_N, look_N), 1)
    return sums_IL, counts_IL


def _curves(sums_IL: Floats, counts_IL: Floats, weights_RI: Floats) -> Floats:
    """Weighted mean over items at each observation; without measurements the value before it, at first 0."""
    num_RL = weights_RI @ counts_IL
    curve_RL = np.divide(weights_RI @ sums_IL, num_RL, out=np.full(num_RL.shape, np.nan), where=num_RL > 0)
    last = np.where(np.isnan(curve_RL), -1, np.arange(curve_RL.shape[1]))
    last = np.maximum.accumulate(last, axis=1)
    filled = np.take_along_axis(curve_RL, np.maximum(last, 0), 1)
    return np.asarray(np.where(last < 0, 0.0, filled))


def _fit(share_L: Floats, curves_RL: Floats) -> tuple[Floats, float]:
    """Least-squares fit of D (1 − exp(−t/τ)): time to 95 % of the final change, and variance explained of curve 0."""
    taus_A = np.geomspace(0.005, 5, 400)  # from a 200th of the phase to nearly a straight line, 1.7 % apart
    shape_AL = -np.expm1(-share_L / taus_A[:, None])
    size_RA = curves_RL @ shape_AL.T / (shape_AL**2).sum(1)
    explained_RA = size_RA**2 * (shape_AL**2).sum(1)
    best_R = explained_RA.argmax(1)
    tau_R = taus_A[best_R]
    times_R = -tau_R * np.log1p(SHARE * np.expm1(-1 / tau_R))
    first = curves_RL[0]
    residual = first - size_RA[0, best_R[0]] * shape_AL[best_R[0]]
    spread = float(((first - first.mean()) ** 2).sum())
    return times_R, 1 - float((residual**2).sum()) / spread if spread else 0.0


def _crossing(share_L: Floats, curve_L: Floats) -> float:
    final = curve_L[-1]
    reached = curve_L >= SHARE * final if final > 0 else curve_L <= SHARE * final
    return float(share_L[reached.argmax()])


def _reversal(curve_L: Floats) -> float:
    """Largest fall below an earlier height, as a share of the whole rise from 0."""
    from_zero = np.concatenate([[0.0], curve_L])
    height = float(from_zero.max())
    return float((np.maximum.accumulate(from_zero) - from_zero).max()) / height if height > 0 else 0.0


def _smooth(curve_L: Floats) -> Floats:
    """Centred moving average over an eighth of the observations, since noise goes back and forth at every one."""
    width = max(1, len(curve_L) // 8) // 2 * 2 + 1
    return np.convolve(np.pad(curve_L, width // 2, mode="edge"), np.full(width, 1 / width), mode="valid")


def _interval(times_R: Floats) -> Interval:
    lower, upper = np.quantile(times_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(lower), float(upper), LEVEL)
