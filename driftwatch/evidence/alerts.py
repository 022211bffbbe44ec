"""Alerts: what a look's evidence adds to what was known, in words that a tired person can act on.

A row of evidence raises an alert when its state first becomes "alert" or "beyond_tolerance". It raises another one only
when there is something else to do about it: its label settles differently, or its severity rises. An alert whose label
may yet settle is held back for a few looks, so that one lasting step gives one notice.

Severities follow the rules that Prometheus evaluates: only *specific* is read as a change of values, and the other
labels inform. A model whose numbers are not finite raises an alert of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from driftwatch.drift.fault import MODEL, ModelFault
from driftwatch.evidence.labels import ALIKE
from driftwatch.evidence.verdict import POOLED, TopicEvidence
from driftwatch.wording import LABEL_MEANINGS, Now, moved, odds

Severity = Literal["info", "warning", "critical"]
HELD_BACK = 10  # looks for which an unsettled alert is held back; the record and the page show it at once
_RANK = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that a look raised, raised to a higher severity, or gave another label.

    Attributes:
        topic: Id of the topic; "all" for readability, "model" for a fault of the model itself.
        kind: "direction", "neutral" or "readability"; "fault" for a fault of the model.
        text: A sentence with topic, pole, size, onset, label and evidence.
    """

    topic: str
    kind: str
    state: str
    label: str
    severity: Severity
    text: str


def new_alerts(
    before: Iterable[TopicEvidence], now: Iterable[TopicEvidence], *, poles: dict[str, tuple[str, str]], alpha: float
) -> tuple[Alert, ...]:
    """The alerts that this look raises and the look before did not.

    Args:
        before: Rows of the last look with evidence; empty at the first look.
        now: Rows of this look.
        poles: Names of the poles by topic, without the controls, which raise no alert.
        alpha: Probability of any false alert in the run, for the text.
    """
    known = {(row.topic, row.kind): row for row in before}
    return tuple(
        Alert(row.topic, row.kind, row.state, row.label or "unsettled", severity(row), sentence(row, poles, alpha))
        for row in now
        if (row.topic in poles or row.topic == POOLED) and _speaks(row, known.get((row.topic, row.kind)))
    )


def fault_alert(fault: ModelFault) -> Alert:
    """The alert of a model whose numbers are not finite, or beyond all measure."""
    back = f"go back to a checkpoint from before step {fault.since_step}" if fault.since_step else "begin with another"
    text = f"{fault.text}: nothing can be told of any topic. Stop this training, and {back}"
    return Alert(MODEL, "fault", "alert", MODEL, "critical", text)


def _speaks(row: TopicEvidence, last: TopicEvidence | None) -> bool:
    if not _is_told(row):
        return False
    if last is None or not _is_told(last):
        return True
    return _RANK[severity(row)] > _RANK[severity(last)] or (row.label != last.label and row.label != "unsettled")


def _is_told(row: TopicEvidence) -> bool:
    """Whether an alert is announced; an unsettled one waits where controls may settle it, and only there."""
    if not row.in_alert:
        return False
    may_settle = row.label == "unsettled" and row.log10_apart is not None and row.looks_in_alert is not None
    return not may_settle or (row.looks_in_alert or 0) >= HELD_BACK


def severity(row: TopicEvidence) -> Severity:
    """The severity: critical for a specific alert beyond tolerance, warning for any other specific one, else info."""
    if row.label != "specific":
        return "info"
    return "critical" if row.state == "beyond_tolerance" else "warning"


def sentence(row: TopicEvidence, poles: dict[str, tuple[str, str]], alpha: float) -> str:
    """The alert in a sentence: what moved, since when, how far it lies now, and on which evidence that rests."""
    label = row.label or "unsettled"
    beyond = ", by now beyond what is tolerated" if row.state == "beyond_tolerance" else ""
    name = "all topics" if row.topic == POOLED else row.topic
    return (
        f"{clause(row, name, poles.get(row.topic))}{beyond} ({label}: {LABEL_MEANINGS[label]}; evidence "
        f"{odds(row.log10_evidence)} from {row.num_draws} draws, alpha {alpha:g} for the whole run)"
    )


def clause(row: TopicEvidence, name: str, poles: tuple[str, str] | None) -> str:
    """What a row in alert says, in a clause that every surface shows.

    Args:
        row: A row in alert.
        name: Name of its topic.
        poles: Names of the topic's poles; `None` for the readability of all topics.
    """
    now = newest(row)
    # Where the clause speaks of the newest replies alone, it shows the interval of this look alone.
    bounds = row.interval if now == "holds" else row.pointwise or row.interval
    return moved(
        name,
        "readability" if row.label == "unreadable" else row.kind,
        poles=poles,
        way=row.toward or 1,
        now=now,
        # How many replies lost their stance is known only for all topics together.
        value=None if row.label == "unreadable" and row.topic != POOLED else row.estimate,
        ends=None if bounds is None else (bounds.lower, bounds.upper),
        since=row.onset_step,
        most=row.moved_most,
    )


def newest(row: TopicEvidence) -> Now:
    """What the replies of the last five looks say about an alert's move.

    - "holds": they lie the same way, beyond chance.
    - "faded": they lie the same way by at least half of the move, but within chance.
    - "back": they are back at the baseline, as far as they can tell.
    - "beyond": they lie the other way, beyond chance.
    - "unknown": there are no such replies.
    """
    if row.estimate is None or row.toward is None:
        return "unknown"
    along = row.toward * row.estimate
    half = ALIKE * abs(row.since_onset or 0.0)
    bounds = row.pointwise or row.interval  # the interval of this look alone, since only this look is judged
    if bounds is None:  # with too few items for an interval, only a large shift counts
        return "holds" if along >= half and along > 0 else "beyond" if along <= -half < 0 else "back"
    if not bounds.contains(0.0):
        return "holds" if along > 0 else "beyond"
    return "faded" if along >= half > 0 else "back"
