"""Summary: the evidence on each topic, as a row that a person can act on."""

import math
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.compare import BaselineName, Drift
from driftwatch.drift.divergence import crossfit_total_variation, total_variation, wasserstein_ordinal
from driftwatch.drift.interval import Interval, by_cluster, cluster_bootstrap
from driftwatch.drift.outcome import KINDS, LOST_P, NUM_OUTCOMES, SHIFT_KP, Outcome
from driftwatch.evidence import power as planning
from driftwatch.evidence.sequence import intervals, tail_of
from driftwatch.evidence.state import Evidence
from driftwatch.evidence.verdict import LOG_LABEL, POOLED, Labels, TopicEvidence, labels, watched
from driftwatch.stance import Probs
from driftwatch.wording import Label, TopicState

# If more than this share of either model's replies takes no stance, the rest does not count as an answer. Chosen.
MOST_WITHOUT_STANCE = 0.5
Ends = tuple[Interval | None, Interval | None]

CONFIRM = "confirm"  # stands in place of a probe's name, for drift over the draws of judged replies
_NOW_P, _BASE_P = (codes.ravel() for codes in np.indices((NUM_OUTCOMES, NUM_OUTCOMES)))
# Change of support, neutral and oppose by each pair of outcomes.
_CHANGES_PF = np.column_stack([np.equal(_NOW_P, s) * 1.0 - np.equal(_BASE_P, s) for s in range(3)])
_HIDDEN = {
    Outcome.REFUSAL: "refusals",
    Outcome.OFF_TOPIC: "off-topic replies",
    Outcome.UNREAD: "unclassified replies",
}


def summary(
    state: Evidence,
    rng: np.random.Generator,
    *,
    screened: Collection[str] = (),
    ended: Collection[str] = (),
    why: str | None = None,
) -> list[TopicEvidence]:
    """One row for each topic and kind, controls included, and one for the readability of all.

    Args:
        state: Evidence of one run, after its latest look.
        rng: Draws the resamples of the intervals.
        screened: Topics whose screen moved far enough; they are shown as watched.
        ended: Topics whose evidence cannot move any more.
        why: What limits the evidence of this look, for example that the schedule of draws has ended.
    """
    masks, closer = labels(state), watched(state)
    if not state.counts_TP.any():
        why = why or "no judged replies so far: states stop at watch, and nothing is called quiet"
    rows = []
    for t, name in enumerate(state.settings.names):
        recent = _recent(state, [name])
        direction, neutral, _ = _intervals(state, recent, rng)
        calm: TopicState = "ended" if name in ended else "watch" if name in screened or closer[t] else "ok"
        rows.append(_topic_row(state, masks, t, "direction", recent, direction, calm, why))
        rows.append(_topic_row(state, masks, t, "neutral", recent, neutral, calm, why))
    return [*rows, _pooled_row(state, rng, why)]


def recent_drift(state: Evidence, rng: np.random.Generator, *, against: BaselineName) -> list[Drift]:
    """The paper's figures over the draws of the last looks: one drift of probe "confirm" for each topic with draws.

    A reply without a stance counts 0 for every stance. Intervals hold at all looks at once (`sequence`). How far a
    topic moved between its poles is the net shift in the row of its evidence; it is not repeated here.
    """
    found = []
    for name in state.settings.names:
        recent = _recent(state, [name])
        if recent.items:
            found.append(_drift(name, recent, tail_of(state), rng, against))
    return found


def _drift(topic: str, recent: "_Recent", tail: float, rng: np.random.Generator, against: BaselineName) -> Drift:
    base_NS, now_NS = (np.eye(NUM_OUTCOMES)[side_P[recent.pairs_N]][:, :3] for side_P in (_BASE_P, _NOW_P))
    change_NS = now_NS - base_NS
    before_S, now_S = base_NS.mean(0), now_NS.mean(0)
    support, neutral, oppose = intervals(_CHANGES_PF, recent.pairs_N, tail)
    sums_CS, counts_C = by_cluster(change_NS, recent.items)
    return Drift(
        topic=topic,
        probe=CONFIRM,
        baseline=against,
        magnitude=Probs(*(now_S - before_S).tolist()),
        magnitude_interval=(support, neutral, oppose),
        total_variation=total_variation(before_S, now_S),
        crossfit_total_variation=crossfit_total_variation(sums_CS / counts_C[:, None], rng),
        wasserstein=wasserstein_ordinal(before_S, now_S),
        refusal_shift=recent.shift_of(Outcome.REFUSAL),
        unread_shift=recent.mean(LOST_P - np.equal(_NOW_P, Outcome.REFUSAL) + np.equal(_BASE_P, Outcome.REFUSAL)),
        num_items=len(counts_C),
    )


class _Recent(NamedTuple):
    """The draws of the last looks."""

    items: list[str]
    pairs_N: NDArray[np.int64]

    def mean(self, value_P: NDArray[np.floating[Any]]) -> float | None:
        return float(value_P[self.pairs_N].mean()) if len(self.pairs_N) else None

    def shift_of(self, outcome: Outcome) -> float | None:
        return self.mean(np.equal(_NOW_P, outcome).astype(float) - np.equal(_BASE_P, outcome))


def _recent(state: Evidence, names: Collection[str]) -> _Recent:
    draws = [look[name] for look in state.recent for name in names if name in look]
    pairs = [np.array([], int), *(draw.pairs_N for draw in draws)]
    return _Recent([item for draw in draws for item in draw.items], np.concatenate(pairs))


def _intervals(state: Evidence, recent: _Recent, rng: np.random.Generator) -> list[Ends]:
    """For direction, neutral and lost: the interval that holds at all looks, and the one that holds at this look."""
    values_PF = np.stack([*SHIFT_KP, LOST_P], axis=1)
    lasting = intervals(values_PF, recent.pairs_N, tail_of(state))
    pointwise = cluster_bootstrap(values_PF[recent.pairs_N], rng, clusters=recent.items, limits=(-1, 1))
    return list(zip(lasting, pointwise, strict=True))


def _topic_row(
    state: Evidence,
    masks: Labels,
    t: int,
    kind: Literal["direction", "neutral"],
    recent: _Recent,
    ends: Ends,
    calm: TopicState,
    why: str | None,
) -> TopicEvidence:
    figures, k, num_values = state.figures, KINDS.index(kind), len(state.settings.topics)
    is_value = t < num_values
    has_alert = is_value and bool(masks.alert[t, k])
    is_beyond = is_value and len(state.settings.deltas) > 1 and bool(state.value_look_VDK[t, -1, k] > 0)
    label = _label(masks, t, k) if has_alert else None
    since_onset, onset_look = (x[t, k] for x in state.onset_TK.estimate(figures.sign_TK))
    sign, index = None, int(figures.sign_TK[t, k])
    if has_alert:
        since_onset, onset_look = state.moved_VK.shift[t, k], state.moved_VK.look[t, k]
        sign = int(state.alert_sign_VK[t, k])
        index = (1 - sign) // 2
    num_draws = int(state.counts_TP[t].sum())
    mute_now, mute_base = _without_stance(recent, state.counts_TP[t])
    estimate = recent.mean(SHIFT_KP[k])
    return TopicEvidence(
        topic=state.settings.names[t],
        kind=kind,
        log10_e_value=_log10(figures.plain_TDK[t, 0, k]),
        log10_value_e_value=_log10(figures.value_TDK[t, 0, k]),
        log10_material_e_value=_log10(min(figures.plain_TDK[t, -1, k], figures.value_TDK[t, -1, k])),
        log10_threshold=_log10(float(state.log_threshold_D[0])),
        log10_apart=_log10(figures.apart_VCKG[t, :, k, index].min()) if is_value and state.settings.controls else None,
        estimate=estimate,
        interval=ends[0],
        pointwise=ends[1],
        since_onset=float(since_onset) if num_draws else None,
        bound=None if estimate is None else _bound(kind, estimate, recent),
        num_draws=num_draws,
        state="beyond_tolerance" if has_alert and is_beyond else "alert" if has_alert else calm,
        label=label,
        moved_most=_moved_most(recent) if label == "unreadable" else None,
        onset_look=int(onset_look) if has_alert else None,
        onset_step=_step(state, int(onset_look)) if has_alert else None,
        minimum_detectable=(
            # Replies that could not be classified do not say which drift could have been found.
            None
            if has_alert or not is_value or max(mute_now or 0.0, mute_base or 0.0) > MOST_WITHOUT_STANCE
            else _detectable(state, t, kind)
        ),
        refusal_shift=recent.shift_of(Outcome.REFUSAL),
        off_topic_shift=recent.shift_of(Outcome.OFF_TOPIC),
        unread_shift=recent.shift_of(Outcome.UNREAD),
        why=why,
        sign=sign,
        without_stance_now=mute_now,
        without_stance_baseline=mute_base,
        looks_in_alert=state.look - int(state.alert_look_VDK[t, 0, k]) if has_alert else None,
    )


def _pooled_row(state: Evidence, rng: np.random.Generator, why: str | None) -> TopicEvidence:
    recent = _recent(state, state.settings.names)
    has_alert = bool(state.readability_look > 0)
    since_onset, onset_look = state.onset_pooled.estimate(state.figures.pooled_sign)
    if has_alert:
        since_onset, onset_look = state.moved_pooled.shift, state.moved_pooled.look
    num_draws = int(state.counts_TP.sum())
    mute_now, mute_base = _without_stance(recent, state.counts_TP.sum(0))
    is_watched = bool(state.figures.pooled >= LOG_LABEL)
    ends = _intervals(state, recent, rng)[2]
    return TopicEvidence(
        topic=POOLED,
        kind="readability",
        log10_e_value=_log10(float(state.figures.pooled)),
        log10_value_e_value=None,
        log10_material_e_value=None,
        log10_threshold=_log10(float(state.log_threshold_D[0])),
        log10_apart=None,
        estimate=recent.mean(LOST_P),
        interval=ends[0],
        pointwise=ends[1],
        since_onset=float(since_onset) if num_draws else None,
        bound=None,
        num_draws=num_draws,
        state="alert" if has_alert else "watch" if is_watched else "ok",
        label="unreadable" if has_alert else None,
        moved_most=_moved_most(recent) if has_alert else None,
        onset_look=int(onset_look) if has_alert else None,
        onset_step=_step(state, int(onset_look)) if has_alert else None,
        minimum_detectable=None,
        refusal_shift=recent.shift_of(Outcome.REFUSAL),
        off_topic_shift=recent.shift_of(Outcome.OFF_TOPIC),
        unread_shift=recent.shift_of(Outcome.UNREAD),
        why=why,
        sign=int(state.readability_sign) if has_alert else None,
        without_stance_now=mute_now,
        without_stance_baseline=mute_base,
        looks_in_alert=state.look - int(state.readability_look) if has_alert else None,
    )


def _label(masks: Labels, t: int, k: int) -> Label:
    if masks.specific[t, k]:
        return "specific"
    if masks.general[t, k]:
        return "general"
    return "unreadable" if masks.unreadable[t, k] else "unsettled"


def _bound(kind: str, estimate: float, recent: _Recent) -> float:
    """|estimate| less all that replies without a stance could hide, in either direction; it needs no assumption."""
    now, base = (recent.mean(np.where(side >= Outcome.REFUSAL, 1.0, 0.0)) or 0.0 for side in (_NOW_P, _BASE_P))
    # A reply without a stance could hide half a step of direction, on either side. A rise of neutral can be explained
    # away only by hidden neutral replies of the baseline, and a fall only by hidden neutral replies of now.
    hidden = (now + base) / 2 if kind == "direction" else (base if estimate > 0 else now)
    return max(abs(estimate) - hidden, 0.0)


def _moved_most(recent: _Recent) -> str | None:
    shifts = {name: abs(recent.shift_of(outcome) or 0.0) for outcome, name in _HIDDEN.items()}
    return max(shifts, key=shifts.__getitem__) if any(shifts.values()) else None


def _detectable(state: Evidence, t: int, kind: Literal["direction", "neutral"]) -> float | None:
    settings = state.settings
    terms = planning.Terms(len(settings.topics), settings.planned_looks, settings.alpha, settings.min_effect)
    counts_P = state.counts_TP[t]
    return planning.detectable_drift(planning.observed_pairs(counts_P), float(counts_P.sum()), terms, kind=kind)


def _without_stance(recent: _Recent, counts_P: NDArray[np.floating[Any]]) -> tuple[float | None, float | None]:
    """Share of replies without a stance, now and of the baseline, over the last looks; over all if these had none."""
    total = float(counts_P.sum())
    shares = []
    for side in (_NOW_P, _BASE_P):
        mute_P = np.where(side >= Outcome.REFUSAL, 1.0, 0.0)
        lately = recent.mean(mute_P)
        shares.append(lately if lately is not None or not total else float(counts_P @ mute_P) / total)
    return shares[0], shares[1]


def _step(state: Evidence, look: int) -> int | None:
    """The step of a look; `None` where training went back behind it, so that today's weights do not descend from it."""
    if not 0 < look <= len(state.steps) or look in state.taken_back:
        return None
    step, later = state.steps[look - 1], state.steps[look:]
    return None if any(other < step for other in later) else step


def _log10(natural: float | np.floating[Any]) -> float:
    return float(natural) / math.log(10)
