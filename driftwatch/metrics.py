"""The metric catalogue: the only file in which a metric's name is written.

Exporters turn `samples` into their format; dashboards, rules and docs/metrics.md are generated from `CATALOGUE`. No
step, item, prompt or free text is a label: the run's attributes live on one info metric that queries join, the poles on
another. What was not measured has no sample: an absent series, never a zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from driftwatch.record import Record, RunInfo
from driftwatch.stance import STANCES

RUN_STATES = ("running", "finished", "stopped", "failed", "crashed")
TOPIC_STATES = ("ok", "watch", "alert", "material")
LABELS = ("specific", "general", "unreadable", "unsettled")


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the catalogue.

    Attributes:
        name: Full Prometheus name.
        labels: Beside `run`, which every metric carries.
        help: What it is, its unit and range, in a sentence.
    """

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str


class Sample(NamedTuple):
    """One value of one metric."""

    metric: Metric
    labels: tuple[str, ...]  # values of `run` and then of metric.labels
    value: float


def _gauge(name: str, labels: str, text: str) -> Metric:
    return Metric(f"driftwatch_{name}", "gauge", tuple(labels.split()), text)


def _counter(name: str, labels: str, text: str) -> Metric:
    return Metric(f"driftwatch_{name}", "counter", tuple(labels.split()), text)


RUN_INFO = _gauge("run_info", "model pack pack_version version trainer alerting_baseline", "Attributes of the run; 1.")
RUN_STATE = _gauge("run_state", "state", f"1 for the run's current state, 0 for the others: {', '.join(RUN_STATES)}.")
TOPIC_INFO = _gauge(
    "topic_info",
    "topic support oppose control",
    "Names of a topic's poles, toward which 'support' and 'oppose' point; control topics have no moral content; 1.",
)
OBSERVED_STEP = _gauge("observed_step", "", "Optimizer steps done at the last look.")
ATTEMPT = _gauge("attempt", "", "0 for the first start of the run, one more for every resume.")
LAST_OBSERVATION = _gauge("last_observation_timestamp_seconds", "", "Unix time at which the last look ended.")
HEARTBEAT = _gauge(
    "heartbeat_timestamp_seconds",
    "",
    "Unix time at which the trainer was last known to live; pushed values need it, since they outlive their process.",
)
DURATION = _gauge(
    "observation_duration_seconds", "stage", "Time of the last look by stage: screen, replies, judge, statistics."
)
OVERHEAD = _gauge("overhead_ratio", "", "Time spent in driftwatch over wall time since training began, 0 to 1.")
TOKENS = _gauge("observation_tokens", "", "Tokens that the screen computed at the last look.")
OBSERVATIONS = _counter("observations_total", "", "Looks of this run, resumed attempts included.")
PROBE_FAILURES = _counter(
    "probe_failures_total", "probe reason", "Looks or parts of looks that failed, by probe and kind of reason."
)
EXPORT_FAILURES = _counter("export_failures_total", "exporter", "Records that an exporter could not deliver.")
STANCE = _gauge(
    "stance_ratio",
    "topic probe stance",
    "Share of a stance on a topic, 0 to 1; support is toward the topic's first pole.",
)
STANCE_LOWER = _gauge(
    "stance_lower_ratio",
    "topic probe stance",
    "Lower end of the 95 % interval of a stance's share (bootstrap over items).",
)
STANCE_UPPER = _gauge(
    "stance_upper_ratio",
    "topic probe stance",
    "Upper end of the 95 % interval of a stance's share (bootstrap over items).",
)
COVERAGE = _gauge(
    "stance_coverage_ratio", "topic probe", "Share of the measurements behind a topic's stance that succeeded, 0 to 1."
)
UNSCORED = _gauge("stance_unscored_items", "topic probe", "Items of a topic without a figure at the last look.")
REFUSAL = _gauge("refusal_ratio", "topic", "Share of the sampled replies that refuse to answer, 0 to 1.")
UNREAD = _gauge(
    "unread_ratio", "topic", "Share of the sampled replies that no stance could be read from, refusals apart, 0 to 1."
)
NAYSAYING = _gauge(
    "naysaying_ratio",
    "topic",
    "Probability of disagreeing with either side when asked to agree, 0 to 1; a style, not a value.",
)
MAGNITUDE = _gauge(
    "drift_magnitude",
    "topic probe baseline stance",
    "Drift magnitude: change of a stance's share since the baseline, -1 to 1.",
)
MAGNITUDE_LOWER = _gauge(
    "drift_magnitude_lower",
    "topic probe baseline stance",
    "Lower end of the drift magnitude's 95 % interval (bootstrap over items).",
)
MAGNITUDE_UPPER = _gauge(
    "drift_magnitude_upper",
    "topic probe baseline stance",
    "Upper end of the drift magnitude's 95 % interval (bootstrap over items).",
)
SCORE_SHIFT = _gauge(
    "drift_score_shift",
    "topic probe baseline",
    "Change of P(support) - P(oppose) since the baseline, -2 to 2, toward the first pole positive.",
)
SCORE_SHIFT_LOWER = _gauge(
    "drift_score_shift_lower",
    "topic probe baseline",
    "Lower end of the score shift's 95 % interval (bootstrap over items).",
)
SCORE_SHIFT_UPPER = _gauge(
    "drift_score_shift_upper",
    "topic probe baseline",
    "Upper end of the score shift's 95 % interval (bootstrap over items).",
)
LOG_ODDS_SHIFT = _gauge(
    "drift_log_odds_shift_nats",
    "topic probe baseline",
    "Change of the log-odds between the poles since the baseline, nats a token, toward the first pole positive.",
)
TOTAL_VARIATION = _gauge(
    "drift_total_variation_ratio",
    "topic probe baseline",
    "Total variation between the stance shares now and at the baseline, 0 to 1.",
)
WASSERSTEIN = _gauge(
    "drift_wasserstein",
    "topic probe baseline",
    "Ordinal Wasserstein distance of the stance shares (oppose, neutral, support one step apart), 0 to 2.",
)
FLIPPED = _gauge(
    "drift_flipped_ratio",
    "topic probe baseline",
    "Share of a topic's items whose likeliest stance is another one than at the baseline, 0 to 1.",
)
NAYSAYING_SHIFT = _gauge(
    "drift_naysaying_shift", "topic baseline", "Change of naysaying since the baseline, -1 to 1; a style, not a value."
)
REFUSAL_SHIFT = _gauge(
    "drift_refusal_shift",
    "topic baseline",
    "Change of the share of refusals since the baseline, -1 to 1; a style, not a value.",
)
UNREAD_SHIFT = _gauge(
    "drift_unread_shift", "topic baseline", "Change of the share of unread replies since the baseline, -1 to 1."
)
FLOOR = _gauge(
    "drift_floor",
    "probe kind",
    "Largest score shift that means nothing; numeric: the same model asked twice, placebo: the controls' largest.",
)
FLOOR_LOG_ODDS = _gauge(
    "drift_floor_log_odds_nats", "probe kind", "The same floor for the log-odds of the screen, nats a token."
)
EVIDENCE = _gauge(
    "evidence_log10", "topic kind", "Evidence (e-value, base 10 logarithm) that what can be read has moved."
)
VALUE_EVIDENCE = _gauge(
    "value_evidence_log10",
    "topic kind",
    "Evidence that it has moved even if every stance lost, or gained, would have explained it away.",
)
MATERIAL_EVIDENCE = _gauge(
    "material_evidence_log10",
    "topic kind",
    "Evidence that it has moved by more than the tolerated drift of 'material'.",
)
THRESHOLD = _gauge(
    "evidence_threshold_log10",
    "",
    "Evidence at which an alert is raised, (hypotheses left) / alpha, base 10 logarithm.",
)
ALPHA = _gauge("alpha_ratio", "", "Requested probability of any false value alert in the whole run.")
TOPIC_STATE = _gauge(
    "topic_state", "topic kind state", f"1 for the current state, 0 for the others: {', '.join(TOPIC_STATES)}."
)
TOPIC_LABEL = _gauge(
    "topic_label",
    "topic kind label",
    f"1 for an alert's label, 0 for the others: {', '.join(LABELS)}; absent before one.",
)
ONSET = _gauge(
    "onset_step",
    "topic kind",
    "Estimated optimizer step at which an alerted topic began to move; absent before an alert.",
)
DRAWS = _gauge("evidence_draws", "topic kind", "Pairs of replies behind the evidence so far.")
ESTIMATE = _gauge(
    "evidence_estimate",
    "topic kind",
    "Mean shift over the draws of the last five looks, -1 to 1; for direction half of the score shift.",
)
DETECTABLE = _gauge(
    "minimum_detectable_drift",
    "topic kind",
    "Smallest shift of the draws' mean that could have been found so far; not a certificate of absence.",
)
AGREEMENT = _gauge(
    "probe_agreement_ratio", "probe", "Correlation over items of a probe with the judged replies, -1 to 1."
)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def samples(info: RunInfo, record: Record | None, *, state: str, heartbeat: float | None = None) -> Iterator[Sample]:
    """Every current value of one run.

    Args:
        info: The run's attributes.
        record: Its last look, or `None` before the first.
        state: One of `RUN_STATES`.
        heartbeat: Unix time at which the trainer was last known to live.
    """

    def sample(metric: Metric, value: float | None, *labels: str) -> Iterator[Sample]:
        if value is not None:
            yield Sample(metric, (info.run, *labels), float(value))

    attributes = (info.model, info.pack, info.pack_version, info.version, info.trainer or "", info.alerting_baseline)
    yield from sample(RUN_INFO, 1, *attributes)
    for name in RUN_STATES:
        yield from sample(RUN_STATE, name == state, name)
    for topic in info.topics:
        yield from sample(TOPIC_INFO, 1, topic.id, *topic.poles, str(topic.control).lower())
    yield from sample(ALPHA, info.alpha)
    yield from sample(HEARTBEAT, heartbeat)
    if record is None:
        return
    yield from sample(OBSERVED_STEP, record.step)
    yield from sample(ATTEMPT, record.attempt)
    yield from sample(LAST_OBSERVATION, record.timestamp)
    for stage, seconds in record.cost.seconds.items():
        yield from sample(DURATION, seconds, stage)
    yield from sample(OVERHEAD, record.cost.overhead_ratio)
    yield from sample(TOKENS, record.cost.tokens_scored)
    yield from sample(OBSERVATIONS, record.cost.observations_total)
    for key, count in record.cost.failures_total.items():
        yield from sample(PROBE_FAILURES, count, *key.split("/", 1))
    for exporter, count in record.cost.export_failures_total.items():
        yield from sample(EXPORT_FAILURES, count, exporter)
    for floor in record.floors:
        yield from sample(FLOOR, floor.score, floor.probe, floor.kind)
        yield from sample(FLOOR_LOG_ODDS, floor.log_odds, floor.probe, floor.kind)
    for probe, agreement in record.agreement.items():
        yield from sample(AGREEMENT, agreement, probe)
    yield from _stance_samples(info, record)
    yield from _drift_samples(info, record)
    yield from _evidence_samples(info, record)


def _stance_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    styles: dict[tuple[Metric, str], float] = {}
    for stance in record.stances:
        where = (info.run, stance.topic, stance.probe)
        for metric, probs in ((STANCE, stance.probs), (STANCE_LOWER, stance.lower), (STANCE_UPPER, stance.upper)):
            if probs is not None:
                for name, share in zip(STANCES, probs, strict=True):
                    yield Sample(metric, (*where, name), share)
        if stance.coverage is not None:
            yield Sample(COVERAGE, where, stance.coverage)
        yield Sample(UNSCORED, where, stance.num_unscored)
        for metric, share_or_none in (
            (NAYSAYING, stance.naysaying),
            (REFUSAL, stance.refusal),
            (UNREAD, stance.unread),
        ):
            if share_or_none is not None:
                styles[metric, stance.topic] = share_or_none  # each is measured by one probe only
    for (metric, topic), share in styles.items():
        yield Sample(metric, (info.run, topic), share)


def _drift_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    styles: dict[tuple[Metric, str, str], float] = {}
    for drift in record.drifts:
        where = (info.run, drift.topic, drift.probe, drift.baseline)
        if drift.magnitude is not None:
            for name, value in zip(STANCES, drift.magnitude, strict=True):
                yield Sample(MAGNITUDE, (*where, name), value)
        if drift.magnitude_interval is not None:
            for name, interval in zip(STANCES, drift.magnitude_interval, strict=True):
                if interval is not None:
                    yield Sample(MAGNITUDE_LOWER, (*where, name), interval.lower)
                    yield Sample(MAGNITUDE_UPPER, (*where, name), interval.upper)
        if drift.interval is not None:
            yield Sample(SCORE_SHIFT_LOWER, where, drift.interval.lower)
            yield Sample(SCORE_SHIFT_UPPER, where, drift.interval.upper)
        figures = (
            (SCORE_SHIFT, drift.score_shift),
            (LOG_ODDS_SHIFT, drift.log_odds_shift),
            (TOTAL_VARIATION, drift.total_variation),
            (WASSERSTEIN, drift.wasserstein),
            (FLIPPED, drift.flipped_ratio),
        )
        for metric, figure in figures:
            if figure is not None:
                yield Sample(metric, where, figure)
        shifts = (
            (NAYSAYING_SHIFT, drift.naysaying_shift),
            (REFUSAL_SHIFT, drift.refusal_shift),
            (UNREAD_SHIFT, drift.unread_shift),
        )
        for metric, shift in shifts:
            if shift is not None:
                styles[metric, drift.topic, drift.baseline] = shift
    for (metric, topic, baseline), shift in styles.items():
        yield Sample(metric, (info.run, topic, baseline), shift)


def _evidence_samples(info: RunInfo, record: Record) -> Iterator[Sample]:
    for row in record.evidence:
        where = (info.run, row.topic, row.kind)
        figures = (
            (EVIDENCE, row.log10_e_value),
            (VALUE_EVIDENCE, row.log10_value_e_value),
            (MATERIAL_EVIDENCE, row.log10_material_e_value),
            (ONSET, row.onset_step),
            (DRAWS, row.num_draws),
            (ESTIMATE, row.estimate),
            (DETECTABLE, row.minimum_detectable),
        )
        for metric, figure in figures:
            if figure is not None:
                yield Sample(metric, where, figure)
        for state in TOPIC_STATES:
            yield Sample(TOPIC_STATE, (*where, state), row.state == state)
        if row.label is not None:
            for label in LABELS:
                yield Sample(TOPIC_LABEL, (*where, label), row.label == label)
    if record.evidence:
        yield Sample(THRESHOLD, (info.run,), record.evidence[0].log10_threshold)
