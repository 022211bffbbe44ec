"""Samples: a run's current values, metric by metric. This module says which part of a record goes to which metric.

What was not measured has no sample: the series is absent, and never zero.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from driftwatch.drift.abstained import UNCLASSIFIED_KINDS
from driftwatch.evidence.rows import CONFIRM
from driftwatch.evidence.verdict import POOLED
from driftwatch.record import metrics as m
from driftwatch.record.decision import decide, detectable, value_topics
from driftwatch.record.figures import net_shifts
from driftwatch.record.record import Record, RunInfo
from driftwatch.stance import STANCES
from driftwatch.wording import LABELS, RUN_STATES, VERDICT_STATES


class Sample(NamedTuple):
    """One value of one metric."""

    metric: m.Metric
    labels: tuple[str, ...]  # the value of `run`, then those of `metric.labels`
    value: float


def samples(
    info: RunInfo,
    record: Record | None,
    *,
    state: str,
    heartbeat: float | None = None,
    found: Record | None = None,
) -> Iterator[Sample]:
    """Every current value of one run.

    Args:
        info: The run's attributes.
        record: The run's last observation; `None` before the first one.
        state: The run's state, one of `wording.RUN_STATES`.
        heartbeat: Unix time at which the trainer was last known to live; `None` gives no sample.
        found: The run's last observation that found anything, on which the verdict rests. A `record` that found
            anything takes its place.
    """

    def sample(metric: m.Metric, value: float | None, *labels: str) -> Iterator[Sample]:
        if value is not None:
            yield Sample(metric, (info.run, *labels), float(value))

    attributes = (info.model, info.pack, info.pack_version, info.version, info.trainer or "", info.alerting_baseline)
    yield from sample(m.RUN_INFO, 1, *attributes)
    for name in RUN_STATES:
        yield from sample(m.RUN_STATE, name == state, name)
    for topic in info.topics:
        yield from sample(m.TOPIC_INFO, 1, topic.id, *topic.poles, str(topic.control).lower())
        yield from sample(m.TOLERANCE, topic.tolerance, topic.id)
    yield from sample(m.ALPHA, info.alpha)
    yield from sample(m.HEARTBEAT, heartbeat)
    if record is not None and record.found_anything:
        found = record
    decision = decide(info, found)
    for verdict in VERDICT_STATES:
        yield from sample(m.VERDICT, verdict == decision.state, verdict)
    if decision.reason is not None:
        yield from sample(m.CANNOT_TELL, 1, decision.reason)
    if record is None:
        return
    yield from sample(m.MODEL_FINITE, None if found is None else decision.fault is None)
    yield from sample(m.NOT_FINITE_SINCE, decision.fault.since_step if decision.fault is not None else None)
    yield from sample(m.OBSERVED_STEP, record.step)
    yield from sample(m.ATTEMPT, record.attempt)
    yield from sample(m.LAST_OBSERVATION, record.timestamp)
    for stage, seconds in record.cost.seconds.items():
        yield from sample(m.DURATION, seconds, stage)
    yield from sample(m.OVERHEAD, record.cost.overhead_ratio)
    yield from sample(m.TOKENS, record.cost.tokens_scored)
    yield from sample(m.OBSERVATIONS, record.cost.observations_total)
    for key, count in record.cost.failures_total.items():
        yield from sample(m.PROBE_FAILURES, count, *key.split("/", 1))
    for exporter, count in record.cost.export_failures_total.items():
        yield from sample(m.EXPORT_FAILURES, count, exporter)
    for floor in record.floors:
        yield from sample(m.FLOOR, floor.score, floor.probe, floor.kind)
        yield from sample(m.FLOOR_LOG_ODDS, floor.log_odds, floor.probe, floor.kind)
    for probe, agreement in record.agreement.items():
        yield from sample(m.AGREEMENT, agreement, probe)
    yield from _stance_samples(info, record)
    yield from _drift_samples(info, record)
    yield from _evidence_samples(info, record, decision.untold)
    yield from _reply_samples(info, record)


def _stance_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    styles: dict[tuple[m.Metric, str], float] = {}
    for stance in record.stances:
        where = (info.run, stance.topic, stance.probe)
        for metric, probs in ((m.STANCE, stance.probs), (m.STANCE_LOWER, stance.lower), (m.STANCE_UPPER, stance.upper)):
            if probs is not None:
                for name, share in zip(STANCES, probs, strict=True):
                    yield Sample(metric, (*where, name), share)
        if stance.coverage is not None:
            yield Sample(m.COVERAGE, where, stance.coverage)
        yield Sample(m.UNSCORED, where, stance.num_unscored)
        for metric, share_or_none in (
            (m.NAYSAYING, stance.naysaying),
            (m.REFUSAL, stance.refusal),
            (m.UNREAD, stance.unread),
        ):
            if share_or_none is not None:
                styles[metric, stance.topic] = share_or_none  # only one probe measures each of them
    for (metric, topic), share in styles.items():
        yield Sample(metric, (info.run, topic), share)


def _drift_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    styles: dict[tuple[m.Metric, str, str], float] = {}
    for drift in record.drifts:
        where = (info.run, drift.topic, drift.probe, drift.baseline)
        if drift.magnitude is not None:
            for name, value in zip(STANCES, drift.magnitude, strict=True):
                yield Sample(m.MAGNITUDE, (*where, name), value)
        if drift.magnitude_interval is not None:
            for name, interval in zip(STANCES, drift.magnitude_interval, strict=True):
                if interval is not None:
                    yield Sample(m.MAGNITUDE_LOWER, (*where, name), interval.lower)
                    yield Sample(m.MAGNITUDE_UPPER, (*where, name), interval.upper)
        if drift.interval is not None and drift.probe != CONFIRM:
            yield Sample(m.SCORE_SHIFT_LOWER, where, drift.interval.lower)
            yield Sample(m.SCORE_SHIFT_UPPER, where, drift.interval.upper)
        figures = (
            (m.SCORE_SHIFT, drift.score_shift if drift.probe != CONFIRM else None),
            (m.LOG_ODDS_SHIFT, drift.log_odds_shift),
            (m.TOTAL_VARIATION, drift.total_variation),
            (m.WASSERSTEIN, drift.wasserstein),
            (m.FLIPPED, drift.flipped_ratio),
        )
        for metric, figure in figures:
            if figure is not None:
                yield Sample(metric, where, figure)
        shifts = (
            (m.NAYSAYING_SHIFT, drift.naysaying_shift),
            (m.REFUSAL_SHIFT, drift.refusal_shift),
            (m.UNREAD_SHIFT, drift.unread_shift),
        )
        for metric, shift in shifts:
            if shift is not None:
                styles[metric, drift.topic, drift.baseline] = shift
    for (metric, topic, baseline), shift in styles.items():
        yield Sample(metric, (info.run, topic, baseline), shift)


def _evidence_samples(info: RunInfo, record: Record, untold: Collection[str]) -> Iterator[Sample]:
    was_read = bool(detectable(record))
    untold_of_all = bool(untold) and set(value_topics(info)) <= set(untold)
    for row in record.evidence:
        where = (info.run, row.topic, row.kind)
        figures = (
            (m.EVIDENCE, row.log10_e_value),
            (m.VALUE_EVIDENCE, row.log10_value_e_value),
            (m.BEYOND_TOLERANCE_EVIDENCE, row.log10_material_e_value),
            (m.ONSET, row.onset_step),
            (m.SIGN, row.toward),
            (m.DRAWS, row.num_draws),
            (m.DETECTABLE, row.minimum_detectable if was_read else None),
        )
        for metric, figure in figures:
            if figure is not None:
                yield Sample(metric, where, figure)
        # No topic may be shown as "ok" if the verdict cannot tell anything of it; nor the pooled row, if of no topic.
        is_untold = row.topic in untold or (row.topic == POOLED and untold_of_all)
        shown = "cannot_tell" if row.state == "ok" and is_untold else row.state
        for state in m.SHOWN_STATES:
            yield Sample(m.TOPIC_STATE, (*where, state), shown == state)
        if row.label is not None:
            for label in LABELS:
                yield Sample(m.TOPIC_LABEL, (*where, label), row.label == label)
    for topic_id, (shift, interval) in net_shifts(record.evidence).items():
        which = (info.run, topic_id, info.alerting_baseline)
        yield Sample(m.NET_SHIFT, which, shift)
        if interval is not None:
            yield Sample(m.NET_SHIFT_LOWER, which, interval.lower)
            yield Sample(m.NET_SHIFT_UPPER, which, interval.upper)
    for topic, left in (record.replies_left or {}).items():
        yield Sample(m.REPLIES_LEFT, (info.run, topic), left)
    if record.evidence:
        yield Sample(m.THRESHOLD, (info.run,), record.evidence[0].log10_threshold)


def _reply_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    """Samples of the response style at this observation, and of how far the judges of a panel agree."""
    for pair in record.styles:
        for figure, metric, metric_of_shift in m.STYLES:
            now, shift = getattr(pair.now, figure), pair.shift(figure)
            if now is not None:
                yield Sample(metric, (info.run, pair.topic), now)
            if shift is not None:
                yield Sample(metric_of_shift, (info.run, pair.topic, info.alerting_baseline), shift)
    if record.abstained is not None:
        for side, counts in (("now", record.abstained.now), ("baseline", record.abstained.baseline)):
            for kind in UNCLASSIFIED_KINDS:
                share = counts.get(kind, 0) / record.abstained.num_pairs
                yield Sample(m.ABSTAINED, (info.run, kind, side), share)
    found = record.disagreement
    if found is None:
        return
    if found.ratio is not None:
        yield Sample(m.JUDGE_DISAGREEMENT, (info.run,), found.ratio)
    for pair_of_judges, kappa in found.kappa.items():
        if kappa is not None:
            yield Sample(m.JUDGE_KAPPA, (info.run, pair_of_judges), kappa)
    yield Sample(m.JUDGES_ABSENT, (info.run,), len(found.absent))
