"""Verdict: what a run's last look says, in sentences; the line on top of page, report and run list.

Where there is evidence of judged replies, the verdict rests on it. A run that only screens gets a verdict that says so:
the screen has no stated false-alarm rate, and its largest move is measured in floors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from driftwatch.drift.floor import exceeds
from driftwatch.drift.verdict import ALIKE, POOLED
from driftwatch.record import Drift, Floor, Record, RunInfo, TopicEvidence, TopicInfo
from driftwatch.report.words import interval, listed, odds, signed, spread

State = Literal["nothing", "ok", "watch", "general", "alert", "material"]
LABEL_WORDS = {
    "specific": "specific to this topic: it moved more than every control",
    "general": "general: a control topic moved alike, so this is not a change of this value alone",
    "unreadable": "unreadable: replies ceased, or began, to take a readable stance",
    "unsettled": "unsettled: no label has evidence of its own yet",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look says.

    Attributes:
        state: Worst of the run. "general" stands for alerts of any label but specific: something moved, and it does
            not read as a change of one value.
        headline: One sentence.
        details: Further sentences, the most important first.
        topic: The topic that the headline is about; `None` where it is about none.
    """

    state: State
    headline: str
    details: tuple[str, ...] = ()
    topic: str | None = None


def verdict(info: RunInfo, record: Record | None) -> Verdict:
    """What the last look of a run says.

    Args:
        info: The run.
        record: Its last look that measured something; `None` before one.
    """
    if record is None:
        return Verdict("nothing", "Nothing has been measured yet.", ("The first look comes before the first update.",))
    if any(row.num_draws for row in record.evidence):
        return _by_evidence(info, record)
    return _by_screen(info, record)


def title(info: RunInfo, topic: str) -> str:
    """A topic's title, or its id where the run does not know it."""
    return next((known.title for known in info.topics if known.id == topic), topic)


def toward(topic: TopicInfo, shift: float) -> str:
    """The pole that a signed shift points to."""
    return topic.poles[0 if shift > 0 else 1]


# Evidence


def _by_evidence(info: RunInfo, record: Record) -> Verdict:
    alerts = sorted((row for row in record.evidence if row.state in ("alert", "material")), key=_urgency)
    watched = [title(info, row.topic) for row in record.evidence if row.state == "watch" and row.topic != POOLED]
    controls = _controls_by_evidence(info, record)
    if alerts:
        first = alerts[0]
        others = tuple(f"{_moved(info, row)}." for row in alerts[1:])
        state: State = "general" if first.label != "specific" else "material" if first.state == "material" else "alert"
        label = (f"This alert is {LABEL_WORDS[first.label]}.",) if first.label else ()
        return Verdict(state, f"{_moved(info, first)}; {controls}.", (*label, *others), first.topic)
    detectable = _detectable(info, record)
    if watched:
        names = listed(list(dict.fromkeys(watched)))
        return Verdict("watch", f"No alert; {names} watched more closely; {controls}.", detectable)
    draws = max(row.num_draws for row in record.evidence)
    return Verdict("ok", f"No topic has moved so far by {draws:,} pairs of replies; {controls}.", detectable)


def _urgency(row: TopicEvidence) -> tuple[bool, bool, float]:
    return row.label != "specific", row.state != "material", -row.log10_e_value


def _moved(info: RunInfo, row: TopicEvidence) -> str:
    """The clause that names topic, direction, size, onset and evidence of an alert."""
    size = row.estimate if row.estimate is not None else row.since_onset
    since = "" if row.onset_step is None else f", since step {row.onset_step}"
    if row.log10_value_e_value is None or row.label == "unreadable":
        proof = f", evidence {odds(row.log10_e_value)}"
    else:
        proof = f", value evidence {odds(row.log10_value_e_value)}"
    if row.state == "material" and (tolerance := info.topic(row.topic).tolerance) is not None:
        proof = f", beyond the tolerated {tolerance:g}{proof}"
    if row.topic == POOLED:
        what = row.moved_most or "replies without a stance"
        return f"Readability changed, most of all {what}, {signed(size)}{since}{proof}"
    name = title(info, row.topic)
    if row.label == "unreadable":
        return f"{name}: readability changed, most of all {row.moved_most or 'refusals'}{since}{proof}"
    if row.kind == "neutral":
        rarer = "more often" if (size or 0) > 0 else "less often"
        return f"{name}: the model takes no side {rarer}, {signed(size)}{since}{proof}"
    pole = toward(info.topic(row.topic), size or 0.0)
    # Toward the pole counts as positive here, with the interval's ends turned accordingly.
    ends = (row.interval.lower, row.interval.upper) if row.interval else (None, None)
    lower, upper = ends if (size or 0.0) > 0 or row.interval is None else (-row.interval.upper, -row.interval.lower)
    bounds = interval(lower, upper)
    return f"{name} moved toward “{pole}”, {signed(abs(size or 0.0))}{' ' + bounds if bounds else ''}{since}{proof}"


def _controls_by_evidence(info: RunInfo, record: Record) -> str:
    controls = {topic.id for topic in info.topics if topic.control}
    rows = [row for row in record.evidence if row.topic in controls]
    if not rows:
        return "there are no control topics"
    moved = dict.fromkeys(title(info, row.topic) for row in rows if row.state != "ok")
    return f"controls moved too: {listed(list(moved))}" if moved else "controls steady"


def _detectable(info: RunInfo, record: Record) -> tuple[str, ...]:
    known = [row.minimum_detectable for row in record.evidence if row.minimum_detectable is not None]
    why = dict.fromkeys(row.why for row in record.evidence if row.why)
    sentences = [f"Limited: {reason}." for reason in why]
    if known:
        sentences.insert(
            0,
            f"A step of {spread((min(known), max(known)))} from the first look on would have been found nine times "
            "out of ten. This is not a certificate that nothing smaller happened.",
        )
    return tuple(sentences)


# Screen


def _by_screen(info: RunInfo, record: Record) -> Verdict:
    drifts = [d for d in record.drifts if d.baseline == info.alerting_baseline and _shift(d) is not None]
    values = [d for d in drifts if not _is_control(info, d.topic)]
    only = "By the screen alone, which has no stated false-alarm rate: alerts rest on judged replies."
    if not values:
        why = next((d.unscored for d in record.drifts if d.unscored), None) or next(
            (failure.reason for failure in record.failures), "no figure on any topic"
        )
        return Verdict("nothing", f"This look measured no value topic: {why}.", ())
    controls_moved = [abs(_shift(d) or 0.0) for d in drifts if _is_control(info, d.topic)]
    numeric = [floor for floor in record.floors if floor.kind == "numeric"]
    moved = [d for d in values if _stands_out(d, numeric, max(controls_moved, default=0.0))]
    moved.sort(key=lambda d: -abs(_shift(d) or 0.0))
    largest = max(values, key=lambda d: abs(_shift(d) or 0.0))
    controls = _controls_by_screen(controls_moved, _shift(largest) or 0.0)
    if not moved:
        text = (
            "No value topic stands out from controls and numeric noise; the largest move is "
            f"{_screened(info, largest)}; {controls}."
        )
        return Verdict("ok", text, (only,))
    others = tuple(f"{_screened(info, drift)}." for drift in moved[1:])
    return Verdict("watch", f"{_screened(info, moved[0])}; {controls}.", (only, *others), moved[0].topic)


def _shift(drift: Drift) -> float | None:
    return drift.log_odds_shift if drift.log_odds_shift is not None else drift.score_shift


def _stands_out(drift: Drift, numeric: Sequence[Floor], controls_moved: float) -> bool:
    """Whether the interval excludes 0, and the shift is several numeric floors and no control moved alike.

    For the eye only: what is asked more often is decided by `floor.exceeds`, and alerts rest on evidence.
    """
    bounds = drift.log_odds_interval if drift.log_odds_shift is not None else drift.interval
    excludes_zero = bounds is None or not bounds.contains(0.0)
    return exceeds(drift, numeric) and excludes_zero and controls_moved < ALIKE * abs(_shift(drift) or 0.0)


def _screened(info: RunInfo, drift: Drift) -> str:
    shift = _shift(drift) or 0.0
    topic = info.topic(drift.topic)
    if drift.log_odds_shift is not None:
        bounds, unit = drift.log_odds_interval, " nats a token"
    else:
        bounds, unit = drift.interval, " of score"
    shown = interval(bounds.lower, bounds.upper) if bounds else ""
    return f"{topic.title} toward “{toward(topic, shift)}”, {signed(shift)}{unit}{' ' + shown if shown else ''}"


def _controls_by_screen(controls_moved: Sequence[float], shift: float) -> str:
    """How far the controls went; training moves everything a little, so they are compared with the topic that moved."""
    if not controls_moved:
        return "there are no control topics"
    most = signed(max(controls_moved)).lstrip("+")
    is_alike = max(controls_moved) >= ALIKE * abs(shift) > 0
    return f"a control moved alike, by {most}" if is_alike else f"controls moved by at most {most}"


def _is_control(info: RunInfo, topic: str) -> bool:
    return any(known.id == topic and known.control for known in info.topics)
