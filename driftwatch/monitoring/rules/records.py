"""Recording rules: series for alerts to read, a central Prometheus to federate and long-term storage to keep.

Their names are level:metric:operation, where the level lists the labels that are left.
"""

import re
from dataclasses import dataclass

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config
from driftwatch.record import metrics as m

RUNNING = "run:driftwatch_running:max"
SILENCE = "run:driftwatch_silence_seconds:min"
LOOK_AGE = "run:driftwatch_look_age_seconds:min"
BASELINE = "run_baseline:driftwatch_alerting:max"
POLES = "run_topic:driftwatch_poles:max"
ALERTED = "run_topic_kind:driftwatch_alerted:max"
BEYOND_TOLERANCE = "run_topic_kind:driftwatch_beyond_tolerance:max"
SCORE = "run_topic_probe:driftwatch_stance_score:max"
SCORE_BEFORE = "run_topic_probe:driftwatch_baseline_score:max"
NAYSAYING = "run:driftwatch_drift_naysaying_shift:avg"
REFUSAL = "run:driftwatch_drift_refusal_shift:avg"
UNREAD = "run:driftwatch_drift_unclassified_shift:avg"
COVERAGE = "run_topic_probe:driftwatch_stance_coverage_ratio:min"
AGREEMENT = "run_probe:driftwatch_probe_agreement_ratio:min"
OVERHEAD = "run:driftwatch_overhead_ratio:max"
SERVED = "job_instance:driftwatch_runs:count"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule.

    Attributes:
        record: Name of the recorded series, level:metric:operation.
        why: What the series is, for the comment in the file.
    """

    record: str
    expr: str
    why: str


def recordings(config: Config) -> list[Recording]:
    """All recording rules; later ones may read earlier ones."""
    alerted = q.series(config, m.TOPIC_STATE, q.state_is("alert", "beyond_tolerance"))
    beyond = q.series(config, m.TOPIC_STATE, q.state_is("beyond_tolerance"))
    return [
        Recording(RUNNING, q.by("run", q.series(config, m.RUN_STATE, q.state_is("running"))), "1 while a run trains."),
        Recording(SILENCE, q.seconds_since(config, m.HEARTBEAT), "Seconds since a trainer's last sign of life."),
        Recording(LOOK_AGE, q.seconds_since(config, m.LAST_OBSERVATION), "Seconds since the last observation."),
        Recording(BASELINE, q.alerting_baseline(config), "The baseline that a run's alerts rest on, as a label."),
        Recording(POLES, q.by("run, topic, support, oppose", q.series(config, m.TOPIC_INFO)), "A topic's poles."),
        Recording(ALERTED, q.by("run, topic, kind", alerted), "1 from a topic's alert to the end of the run."),
        Recording(
            BEYOND_TOLERANCE,
            q.by("run, topic, kind", beyond),
            "1 from an alert beyond tolerance to the end of the run.",
        ),
        Recording(SCORE, q.score(config), "P(support) - P(oppose) now."),
        Recording(SCORE_BEFORE, f"{SCORE} - ({q.change_of_score(config)})", "The same at the alerting baseline."),
        Recording(
            NAYSAYING,
            q.by("run", q.at_alerting_baseline(config, m.NAYSAYING_SHIFT), "avg"),
            "Change of naysaying, mean over topics, controls included: a style shows everywhere.",
        ),
        Recording(
            REFUSAL,
            q.by("run", q.at_alerting_baseline(config, m.REFUSAL_SHIFT), "avg"),
            "Change of the share of refusals, mean over topics, controls included.",
        ),
        Recording(
            UNREAD,
            q.by("run", q.at_alerting_baseline(config, m.UNREAD_SHIFT), "avg"),
            "Change of the share of unclassified replies, mean over topics, controls included.",
        ),
        Recording(COVERAGE, _minimum(config, m.COVERAGE), "Share of a topic's measurements that succeeded."),
        Recording(AGREEMENT, _minimum(config, m.AGREEMENT), "Correlation of the screen with judged replies."),
        Recording(OVERHEAD, q.one(config, m.OVERHEAD), "Share of wall time that watching took."),
        Recording(
            SERVED,
            q.by("job, instance", q.series(config, m.RUN_INFO), "count"),
            "Runs that one endpoint serves: 1 for a trainer, more for `driftwatch serve`.",
        ),
    ]


def inlined(expr: str, config: Config) -> str:
    """The expression with every recorded name replaced by what it records, for rules that cannot rely on recordings."""
    for recording in reversed(recordings(config)):
        whole = f"({recording.expr})"
        expr = expr.replace(recording.record, whole)
        expr = re.sub(re.escape(whole) + r"\[(\w+)\]", rf"{_literal(whole)}[\1:]", expr)  # a range over it: a subquery
    return expr


def _literal(text: str) -> str:
    """The text escaped as a replacement for `re.sub`, where only backslashes have a meaning."""
    return text.replace("\\", "\\\\")


def _minimum(config: Config, metric: m.Metric) -> str:
    return q.by(", ".join(("run", *metric.labels)), q.series(config, metric), "min")
