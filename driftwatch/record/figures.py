"""Figures: what a record says about each topic in one number; every surface takes it from here.

The figure of a verdict is the net shift of the judged replies. A run without judged replies has no net shift: the
screen's shifts have their own names and never take its place.
"""

from dataclasses import dataclass, replace

from driftwatch.drift.compare import Drift
from driftwatch.drift.interval import Interval
from driftwatch.evidence.rows import CONFIRM
from driftwatch.evidence.verdict import EvidenceKind, TopicEvidence
from driftwatch.wording import Label, TopicState

NetShift = tuple[float, Interval | None]


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """What an observation says about one topic.

    Attributes:
        net_shift: Share of the replies of the last five observations that changed sides since the alerting baseline, in
            [−1, 1], positive toward `poles[0]`; `None` without recent replies.
        interval: Interval of `net_shift`.
        toward: Name of the pole to which the net shift points; `None` where it is 0 or unknown.
        kind: Kind of the leading row: the topic's most urgent alert, else its direction. The attributes below are those
            of that row.
        log10_evidence: Evidence that people are shown, see `TopicEvidence.log10_evidence`.
        onset_step: Optimizer step since which the topic has been moving; `None` before an alert.
        num_draws: Number of draws in the whole run.
    """

    topic: str
    net_shift: float | None
    interval: Interval | None
    toward: str | None
    kind: EvidenceKind
    state: TopicState
    label: Label | None
    log10_evidence: float
    onset_step: int | None
    num_draws: int


def urgency(row: TopicEvidence) -> tuple[bool, bool, bool, float]:
    """A sort key for rows: alerts first, specific ones before others, then those beyond tolerance, then by evidence."""
    return not row.in_alert, row.label != "specific", row.state != "beyond_tolerance", -row.log10_e_value


def leading(rows: tuple[TopicEvidence, ...], topic: str) -> TopicEvidence | None:
    """The row that speaks for a topic: its most urgent alert, else its direction; `None` without evidence on it."""
    own = [row for row in rows if row.topic == topic]
    alerts = [row for row in own if row.in_alert]
    return min(alerts or [row for row in own if row.kind == "direction"], key=urgency, default=None)


def topic_figures(
    rows: tuple[TopicEvidence, ...], topic: str, poles: tuple[str, str] | None = None
) -> TopicFigures | None:
    """The figures of one topic; `None` where there is no evidence on it.

    Args:
        rows: Evidence rows of an observation.
        topic: Id of the topic.
        poles: Names of the topic's poles; without them `toward` stays `None`.
    """
    row = leading(rows, topic)
    if row is None:
        return None
    direction = next((other for other in rows if other.topic == topic and other.kind == "direction"), None)
    shift = direction.net_shift if direction is not None else None
    return TopicFigures(
        topic=topic,
        net_shift=shift,
        interval=direction.interval if direction is not None else None,
        toward=poles[0 if shift > 0 else 1] if shift and poles is not None else None,
        kind=row.kind,
        state=row.state,
        label=row.label,
        log10_evidence=row.log10_evidence,
        onset_step=row.onset_step,
        num_draws=row.num_draws,
    )


def net_shifts(rows: tuple[TopicEvidence, ...]) -> dict[str, NetShift]:
    """The net shift of each topic that has one, with its interval."""
    return {row.topic: (row.net_shift, row.interval) for row in rows if row.net_shift is not None}


def without_second_figure(drift: Drift) -> Drift:
    """A drift as records keep it: for judged replies it has no score shift, since the evidence has their net shift.

    Records of earlier versions have twice that number here, as a score shift.
    """
    if drift.probe != CONFIRM or (drift.score_shift is None and drift.interval is None):
        return drift
    return replace(drift, score_shift=None, interval=None)
