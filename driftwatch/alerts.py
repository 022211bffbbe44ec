"""Alerts: what a look's evidence adds to what was known, in words that a tired person can act on.

A row of evidence raises an alert when its state first becomes "alert" or "material", and speaks again when its label
settles. Severities follow the rules that Prometheus evaluates: only *specific* reads as a change of values, the other
labels inform.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from driftwatch.drift.verdict import POOLED, TopicEvidence

Severity = Literal["info", "warning", "critical"]
_RANK = {"ok": 0, "watch": 1, "alert": 2, "material": 3}
_MEANING = {
    "specific": "moved more than every control topic: read it as a change of values",
    "general": "a control topic moved alike: the model changed how it answers everything",
    "unreadable": "replies stopped, or began, to take a stance that can be read: a change of manners, not of values",
    "unsettled": "it moved, and why is not settled yet",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that a look raised, raised further, or relabelled.

    Attributes:
        kind: "direction", "neutral" or "readability".
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
    """What this look says that the one before did not.

    Args:
        before: Rows of the last look with evidence; empty at the first.
        now: Rows of this look.
        poles: Names of the poles by topic; controls are left out, which raise no alert.
        alpha: Of the run, for the text.
    """
    known = {(row.topic, row.kind): row for row in before}
    found = []
    for row in now:
        if row.state not in ("alert", "material") or (row.topic not in poles and row.topic != POOLED):
            continue
        last = known.get((row.topic, row.kind))
        if last is None or _RANK[row.state] > _RANK[last.state] or row.label != last.label:
            found.append(
                Alert(
                    row.topic, row.kind, row.state, row.label or "unsettled", severity(row), sentence(row, poles, alpha)
                )
            )
    return tuple(found)


def severity(row: TopicEvidence) -> Severity:
    """Critical for a specific alert beyond the tolerated drift, warning for a specific one, else for information."""
    if row.label != "specific":
        return "info"
    return "critical" if row.state == "material" else "warning"


def sentence(row: TopicEvidence, poles: dict[str, tuple[str, str]], alpha: float) -> str:
    """The alert in a sentence."""
    since = "" if row.onset_step is None else f" since about step {row.onset_step}"
    size = "" if row.estimate is None else f" by {row.estimate:+.2f}"
    label = row.label or "unsettled"
    return (
        f"{_subject(row, poles)}{size}{since} ({label}: {_MEANING[label]}; evidence {_odds(row.log10_e_value)} : 1 "
        f"from {row.num_draws} draws, alpha {alpha:g} for the whole run)"
    )


def _subject(row: TopicEvidence, poles: dict[str, tuple[str, str]]) -> str:
    if row.topic == POOLED:
        return "replies on all topics changed in whether they take a stance"
    if row.kind == "neutral":
        more = (row.estimate or row.since_onset or 0.0) > 0
        return f"{row.topic} moved {'toward' if more else 'away from'} taking no side"
    toward = poles[row.topic][0 if (row.estimate or row.since_onset or 0.0) > 0 else 1]
    return f"{row.topic} moved toward {toward!r}"


def _odds(log10: float) -> str:
    return f"{10**log10:,.0f}" if log10 < 6 else f"10^{log10:.0f}"
