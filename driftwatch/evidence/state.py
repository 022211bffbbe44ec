"""Evidence: what the draws of a run say so far, under a stated false-alarm rate.

Every topic and kind of drift has betting e-processes (`betting`) of three counts of each draw, for a sign g = ±1 of the
drift and a tolerated drift δ:

    plain           g d − δ                                      does what can be read differ?
    value, h = ±1   g d − h u / 2 − δ     (direction)            does it differ even if every stance that was lost (+1),
                    (g d − h u − δ) / 2   (neutral)              or gained (−1), would explain the difference away?

Further processes label an alert: ½ (g d − h d_c) compares the topic with control c, paired draw by draw in the look; u
is the topic's own readability; and u over all topics is a hypothesis of its own. Two kinds for each of K value topics
and the pooled readability make H = 2K + 1 hypotheses, which share α (docs/statistics.md).

The state only ever grows: a resumed or rolled-back run goes on from its latest evidence. Taking looks back and trying
again would spend α each time.

Shape letters: … batch axes (a simulation advances thousands of runs at once), T topics (V values first, then C
controls), N draws, D tolerated drifts δ, K kinds (direction, neutral), G signs (+, −), H counts (plain, lost, gained),
B bets, P pairs of outcomes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import LOST_P, NOT_DRAWN, NUM_OUTCOMES, NUM_PAIRS, SHIFT_KP, Draws, padded, tally
from driftwatch.evidence import betting, growth, labels
from driftwatch.evidence.labels import ALIKE, LABEL_EVIDENCE
from driftwatch.evidence.onset import Move, Onset, at_peak, track, unknown, unmoved
from driftwatch.evidence.tolerance import TOLERATED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLAIN, LOST, GAINED = range(3)  # positions on the H axis
NUM_RECENT = 5  # looks whose draws are kept for the current estimate and its interval


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the evidence, which are fixed when a run begins.

    Attributes:
        topics: Ids of the value topics with resolution at the baseline; they share α.
        controls: Ids of the control topics. They are drawn and tested like the others, but raise no alert and do not
            count among the hypotheses.
        planned_looks: Number of planned looks; `None` if unknown, which costs a little power. Looks beyond the plan are
            allowed.
        alpha: Probability of any false alert in the run, in (0, 1).
        min_effect: Smallest estimate since onset that an alert needs; it only removes alerts.
        deltas: Tolerated drifts, in [0, 1). Alerts are about the first, and "beyond_tolerance" is about the last.
        tolerance: By topic, the drift beyond which it is "beyond_tolerance", in place of the last of `deltas`.
    """

    topics: tuple[str, ...]
    controls: tuple[str, ...] = ()
    planned_looks: int | None = None
    alpha: float = 0.01
    min_effect: float = 0.05
    deltas: tuple[float, ...] = (0.0, TOLERATED)
    tolerance: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is the probability of a false alert, expected in (0, 1), found {self.alpha}.")
        if self.planned_looks is not None and self.planned_looks < 1:
            raise ValueError(f"expected at least one planned look or None, found {self.planned_looks}.")
        if not self.deltas or not all(0 <= delta < 1 for delta in self.deltas):
            raise ValueError(f"expected tolerated drifts in [0, 1), found {self.deltas}.")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"expected different names, found {self.names}.")
        if self.tolerance and len(self.deltas) < 2:
            raise ValueError(f"expected a tolerated drift beside that of alerts, found {self.deltas} alone.")
        if strangers := set(self.tolerance) - set(self.names):
            raise ValueError(f"expected tolerances of {', '.join(self.names)}, found one of {min(strangers)}.")
        if not all(0 <= delta < 1 for delta in self.tolerance.values()):
            raise ValueError(f"expected tolerances in [0, 1), found {dict(self.tolerance)}.")

    @property
    def own_deltas(self) -> dict[int, float]:
        """By position of a topic, its own tolerated drift, if it differs from the last of `deltas`."""
        own = {t: self.tolerance.get(name, self.deltas[-1]) for t, name in enumerate(self.names)}
        return {t: delta for t, delta in own.items() if delta != self.deltas[-1]}

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of all topics, controls last."""
        return self.topics + self.controls

    @property
    def num_hypotheses(self) -> int:
        """The number H of hypotheses: two kinds for each value topic, and the pooled readability."""
        return 2 * len(self.topics) + 1


class Figures(NamedTuple):
    """Natural logarithms of the evidence, derived from the processes."""

    plain_TDK: Floats
    value_TDK: Floats
    sign_TK: Ints  # index of the sign with more plain evidence: 0 for +, 1 for −
    apart_VCKG: Floats  # against each control, the smaller evidence over both signs of the control
    lost_T: Floats  # two-sided, of the topic's own readability
    pooled: Floats  # two-sided, of the readability of all topics
    pooled_sign: Ints


@dataclass(frozen=True, slots=True)
class Evidence:
    """The state of the evidence. Make it with `begin` and move it on with `update`; nothing else changes it.

    Attributes:
        look: Number of looks so far.
        steps: Optimizer step of each look.
        recent: Draws of the last looks, for the current estimate; empty where `advance` is used directly.
        counts_TP: How often each pair of outcomes was drawn.
        alert_look_VDK: Look of the first alert, 0 before it.
        value_look_VDK: Look at which the value counts reached the threshold as well, 0 before it.
        readability_look: Look of the alert on the pooled readability, 0 before it.
        alert_sign_VK: Sign whose evidence raised the first alert, +1 or −1, frozen from then on; 0 before it.
        readability_sign: Sign of the alert on the pooled readability, likewise.
        label_VK: What each alert is about, as a value of `labels`.
        moved_VK: Since when the topic moved in that sign, and how far.
        moved_pooled: Since when the pooled readability moved, and how far.
        taken_back: Looks, from 1, at weights that training has gone back behind. Their evidence still counts, since
            taking it back would spend alpha again, but they say nothing about the current weights.
    """

    settings: Settings
    look: int
    steps: tuple[int, ...]
    recent: tuple[Mapping[str, Draws], ...]
    counts_TP: Floats
    log_a_TDKGHB: Floats
    log_apart_VCKGHB: Floats
    log_lost_TGB: Floats
    log_pooled_GB: Floats
    onset_TK: Onset
    onset_pooled: Onset
    alert_look_VDK: Ints
    value_look_VDK: Ints
    readability_look: Ints
    alert_sign_VK: Ints
    readability_sign: Ints
    label_VK: Ints
    moved_VK: Move
    moved_pooled: Move
    figures: Figures
    taken_back: tuple[int, ...] = ()

    @property
    def log_threshold_D(self) -> Floats:
        """Natural log of the evidence that an alert needs now, for each δ, shape (…, D), by Holm's procedure."""
        return np.log(_hypotheses_left(self) / self.settings.alpha)


def begin(settings: Settings, batch: tuple[int, ...] = ()) -> Evidence:
    """The evidence before the first look: 1 everywhere.

    Args:
        settings: Settings of the evidence, fixed from now on.
        batch: Sizes of leading axes, to advance many runs at once.
    """
    num_topics, num_values, num_controls = (len(x) for x in (settings.names, settings.topics, settings.controls))
    num_deltas, num_bets = len(settings.deltas), len(betting.BETS)

    def nothing(*shape: int) -> Floats:
        return np.full((*batch, *shape), -math.inf)

    return Evidence(
        settings=settings,
        look=0,
        steps=(),
        recent=(),
        counts_TP=np.zeros((*batch, num_topics, NUM_PAIRS)),
        log_a_TDKGHB=nothing(num_topics, num_deltas, 2, 2, 3, num_bets),
        log_apart_VCKGHB=nothing(num_values, num_controls, 2, 2, 2, num_bets),
        log_lost_TGB=nothing(num_topics, 2, num_bets),
        log_pooled_GB=nothing(2, num_bets),
        onset_TK=unknown((*batch, num_topics, 2, 2, num_bets)),
        onset_pooled=unknown((*batch, 2, num_bets)),
        alert_look_VDK=np.zeros((*batch, num_values, num_deltas, 2), int),
        value_look_VDK=np.zeros((*batch, num_values, num_deltas, 2), int),
        readability_look=np.zeros(batch, int),
        alert_sign_VK=np.zeros((*batch, num_values, 2), int),
        readability_sign=np.zeros(batch, int),
        label_VK=np.zeros((*batch, num_values, 2), int),
        moved_VK=unmoved((*batch, num_values, 2)),
        moved_pooled=unmoved(batch),
        figures=Figures(
            plain_TDK=np.zeros((*batch, num_topics, num_deltas, 2)),
            value_TDK=np.zeros((*batch, num_topics, num_deltas, 2)),
            sign_TK=np.zeros((*batch, num_topics, 2), int),
            apart_VCKG=np.zeros((*batch, num_values, num_controls, 2, 2)),
            lost_T=np.zeros((*batch, num_topics)),
            pooled=np.zeros(batch),
            pooled_sign=np.zeros(batch, int),
        ),
    )


def update(state: Evidence, draws: Mapping[str, Draws], step: int) -> Evidence:
    """The evidence after one more look of a real run.

    Draws must come from fresh random items and orders, with one fresh reply on each side, and each reply is used once.
    How many draws a topic gets may depend on anything in the past.

    Args:
        state: Evidence of the latest look, whatever checkpoint the run was resumed from.
        draws: Draws by topic; a topic without draws keeps its evidence.
        step: Optimizer step of this look.

    Raises:
        ValueError: There are draws of a topic that the run did not begin with.
    """
    strangers = set(draws) - set(state.settings.names)
    if strangers:
        raise ValueError(
            f"expected draws of the topics that the run began with ({', '.join(state.settings.names)}), found "
            f"{', '.join(sorted(strangers))}; the topics are fixed when a run begins, since they share alpha."
        )
    if state.steps and step < state.steps[-1]:
        state = rolled_back(state, step - 1)
    rows = [draws.get(name, Draws()) for name in state.settings.names]
    advanced = advance(state, *padded(rows))
    return replace(advanced, steps=(*state.steps, step), recent=(*state.recent, dict(draws))[-NUM_RECENT:])


def rolled_back(state: Evidence, step: int) -> Evidence:
    """The evidence of a run that goes on from an earlier step: later draws say nothing about its weights any more.

    Args:
        state: Evidence of the latest look.
        step: Optimizer step of the checkpoint from which it goes on.
    """
    gone = {look for look, at in enumerate(state.steps, 1) if at > step}
    alive = [look for look in range(1, state.look + 1) if look not in state.taken_back]
    kept = zip(alive[max(0, len(alive) - len(state.recent)) :], state.recent, strict=True)
    recent = tuple(draws for look, draws in kept if look not in gone)
    return replace(state, recent=recent, taken_back=tuple(sorted(gone.union(state.taken_back))))


def advance(state: Evidence, now_TN: Ints, baseline_TN: Ints) -> Evidence:
    """The evidence after one look, for one run or a batch of runs.

    Args:
        state: Evidence before this look.
        now_TN: Outcomes of the current model, shape (…, T, N); NOT_DRAWN where a topic got fewer draws than another.
        baseline_TN: Outcomes of the baseline model for the same items and orders, same shape.
    """
    settings, look = state.settings, state.look + 1
    weight = betting.start_weight(look, settings.planned_looks)
    is_drawn = (now_TN != NOT_DRAWN) & (baseline_TN != NOT_DRAWN)
    pairs_TN = np.where(is_drawn, now_TN * NUM_OUTCOMES + baseline_TN, NOT_DRAWN)
    counts_TP = tally(pairs_TN, NUM_PAIRS)
    log_l_TDKGHB = growth.of_counts(counts_TP, settings.deltas, settings.own_deltas)
    log_lost_l_TGB = growth.of_lost(counts_TP)
    log_pooled_l_GB = log_lost_l_TGB.sum(-3)
    log_apart_l_VCKGHB = growth.of_controls(pairs_TN, len(settings.topics))
    num_draws_T = counts_TP.sum(-1)
    state = replace(
        state,
        look=look,
        counts_TP=state.counts_TP + counts_TP,
        log_a_TDKGHB=betting.advance(state.log_a_TDKGHB, log_l_TDKGHB, weight),
        log_apart_VCKGHB=betting.advance(state.log_apart_VCKGHB, log_apart_l_VCKGHB, weight),
        log_lost_TGB=betting.advance(state.log_lost_TGB, log_lost_l_TGB, weight),
        log_pooled_GB=betting.advance(state.log_pooled_GB, log_pooled_l_GB, weight),
        onset_TK=track(
            state.onset_TK,
            log_l_TDKGHB[..., 0, :, :, PLAIN, :],
            counts_TP @ SHIFT_KP.T,
            num_draws_T[..., None],
            look=look,
            weight=weight,
        ),
        onset_pooled=track(
            state.onset_pooled,
            log_pooled_l_GB,
            (counts_TP @ LOST_P).sum(-1),
            num_draws_T.sum(-1),
            look=look,
            weight=weight,
        ),
    )
    return _decided(replace(state, figures=derive(state)))


def derive(state: Evidence) -> Figures:
    """The figures of the evidence, from the processes of a state that has had at least one look."""
    left = betting.cash(state.look, state.settings.planned_looks)
    log_e_TDKGH = betting.log_evidence(state.log_a_TDKGHB, left)
    log_pooled_G = betting.log_evidence(state.log_pooled_GB, left)
    log_apart_VCKGH = betting.log_evidence(state.log_apart_VCKGHB, left)
    plain_TDKG = log_e_TDKGH[..., PLAIN]
    value_TDKG = np.minimum(log_e_TDKGH[..., LOST], log_e_TDKGH[..., GAINED])
    return Figures(
        plain_TDK=betting.log_mean(plain_TDKG),
        value_TDK=betting.log_mean(value_TDKG),
        sign_TK=plain_TDKG[..., 0, :, :].argmax(-1),
        apart_VCKG=np.minimum(log_apart_VCKGH[..., 0], log_apart_VCKGH[..., 1]),
        lost_T=betting.log_mean(betting.log_evidence(state.log_lost_TGB, left)),
        pooled=betting.log_mean(log_pooled_G),
        pooled_sign=np.asarray(log_pooled_G.argmax(-1)),
    )


def _decided(state: Evidence) -> Evidence:
    """The state with new alerts latched; by Holm each rejection lowers the others' threshold, so it repeats."""
    num_values, look = len(state.settings.topics), state.look
    plain_VDK, value_VDK = (x[..., :num_values, :, :] for x in (state.figures.plain_TDK, state.figures.value_TDK))
    estimate_TK, _ = state.onset_TK.estimate(state.figures.sign_TK)
    large_V1K = np.abs(estimate_TK)[..., :num_values, None, :] >= state.settings.min_effect
    pooled_large = np.abs(state.onset_pooled.estimate(state.figures.pooled_sign)[0]) >= state.settings.min_effect
    while True:
        threshold_D = state.log_threshold_D
        threshold_VDK = threshold_D[..., None, :, None]
        alert = (state.alert_look_VDK > 0) | (plain_VDK >= threshold_VDK) & large_V1K
        value = (state.value_look_VDK > 0) | alert & (value_VDK >= threshold_VDK)
        readability = (state.readability_look > 0) | (state.figures.pooled >= threshold_D[..., 0]) & pooled_large
        settled = np.array_equal(value, state.value_look_VDK > 0) and np.array_equal(
            readability, state.readability_look > 0
        )
        state = replace(
            state,
            alert_look_VDK=np.where(alert & (state.alert_look_VDK == 0), look, state.alert_look_VDK),
            value_look_VDK=np.where(value & (state.value_look_VDK == 0), look, state.value_look_VDK),
            readability_look=np.where(readability & (state.readability_look == 0), look, state.readability_look),
        )
        if settled:
            return directed(state)


def directed(state: Evidence) -> Evidence:
    """The state with the sign of each alert frozen, its move kept, and its label settled."""
    figures, num_values = state.figures, len(state.settings.topics)
    alert_VK, pooled_alert = state.alert_look_VDK[..., 0, :] > 0, state.readability_look > 0
    sign_VK = _frozen(state.alert_sign_VK, alert_VK, figures.sign_TK[..., :num_values, :])
    pooled_sign = _frozen(state.readability_sign, pooled_alert, figures.pooled_sign)
    log_best, look, shift_sum, num_draws = state.onset_TK
    values = (..., slice(num_values), slice(None), slice(None), slice(None))
    onset_VK = Onset(log_best[values], look[values], shift_sum[values], num_draws[values])
    state = replace(
        state,
        alert_sign_VK=sign_VK,
        readability_sign=pooled_sign,
        moved_VK=at_peak(state.moved_VK, onset_VK, sign_VK),
        moved_pooled=at_peak(state.moved_pooled, state.onset_pooled, pooled_sign),
    )
    return replace(state, label_VK=labels.settled(state.label_VK, grounds(state)))


def _frozen(known: Ints, alert: NDArray[np.bool_], index: Ints) -> Ints:
    return np.asarray(np.where(known != 0, known, np.where(alert, 1 - 2 * index, 0)))


def grounds(state: Evidence) -> labels.Grounds:
    """The grounds on which the labels of a state are decided; a control counts whichever way it moved."""
    figures, num_values = state.figures, len(state.settings.topics)
    alert = state.alert_look_VDK[..., 0, :] > 0
    sign_VK = np.where(state.alert_sign_VK != 0, (1 - state.alert_sign_VK) // 2, figures.sign_TK[..., :num_values, :])
    if state.settings.controls:
        log_apart = np.take_along_axis(figures.apart_VCKG, sign_VK[..., None, :, None], -1)[..., 0].min(-2)
    else:
        log_apart = np.full(alert.shape, -math.inf)
    shift_TK = np.abs(state.onset_TK.estimate(figures.sign_TK)[0])
    moved_CK = figures.value_TDK[..., num_values:, 0, :] >= math.log(LABEL_EVIDENCE)
    alike_VCK = shift_TK[..., None, num_values:, :] >= ALIKE * shift_TK[..., :num_values, None, :]
    return labels.Grounds(
        alert=alert,
        value=state.value_look_VDK[..., 0, :] > 0,
        log_apart=log_apart,
        control_alike=np.asarray((moved_CK[..., None, :, :] & alike_VCK).any(-2)),
        lost=np.broadcast_to(figures.lost_T[..., :num_values, None] >= math.log(LABEL_EVIDENCE), alert.shape),
    )


def _hypotheses_left(state: Evidence) -> Ints:
    """The number of hypotheses that are not rejected, at least 1, for each δ.

    A plain alert alone rejects nothing, since the value null may still be true under it.
    """
    rejected_D = (state.value_look_VDK > 0).sum((-3, -1)) + (state.readability_look > 0)[..., None]
    return np.asarray(np.maximum(state.settings.num_hypotheses - rejected_D, 1))
