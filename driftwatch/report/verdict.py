"""Verdict: what a run's last observation says in sentences, shown at the top of page, report and run list.

`record.decision` decides the state, and this module words it. The verdict rests on the evidence of judged replies where
there is any. For a run that only screens the verdict says so, since the screen has no stated false-alarm rate.
"""

from dataclasses import dataclass

from driftwatch.evidence.alerts import clause
from driftwatch.evidence.labels import ALIKE
from driftwatch.evidence.state import NUM_RECENT
from driftwatch.evidence.verdict import POOLED
from driftwatch.record.decision import (
    Decision,
    alerted,
    controls_moved,
    decide,
    detectable,
    screened_values,
    shift_of,
    standing_out,
    value_topics,
)
from driftwatch.record.figures import TopicFigures, topic_figures
from driftwatch.record.record import Drift, Record, RunInfo, TopicEvidence, TopicInfo
from driftwatch.store.run_store import RunStore
from driftwatch.wording import (
    LABEL_MEANINGS,
    ONLY_SCREENED,
    TO_DO,
    Reason,
    VerdictState,
    interval,
    listed,
    odds,
    percent,
    percent_spread,
    signed,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an observation says, as a state and in sentences.

    Attributes:
        state: The worst state of any topic. "general" stands for alerts of any label but specific: something moved, and
            it does not read as a change of one value. "cannot_tell" means that neither quiet nor drift was measured.
            "screened" means that nothing stands out on the screen, and no replies were judged.
        headline: The verdict in one sentence.
        details: Further sentences, the most important first.
        topic: The topic that the headline is about; `None` where it is about none.
        reason: Why nothing can be told; `None` where something can.
        figures: The net shift of that topic with the figures that belong to it; `None` without judged replies.
    """

    state: VerdictState
    headline: str
    details: tuple[str, ...] = ()
    topic: str | None = None
    reason: Reason | None = None
    figures: TopicFigures | None = None


def verdict(info: RunInfo, record: Record | None) -> Verdict:
    """The verdict on the last observation of a run.

    Args:
        info: The run.
        record: Its last observation that found anything; `None` before one.
    """
    if record is None:
        return Verdict(
            "nothing", "Nothing has been measured yet.", ("The first observation comes before the first update.",)
        )
    found = decide(info, record)
    if found.state == "cannot_tell":
        return _cannot_tell(info, record, found)
    if any(row.num_draws for row in record.evidence):
        return _by_evidence(info, record, found.state)
    return _by_screen(info, record, found.state)


def verdict_of(store: RunStore) -> Verdict:
    """The verdict on the last observation of a run in a folder.

    Raises:
        StoreError: There is no run, or it cannot be read.
    """
    return verdict(store.info(), next((record for record in reversed(store.records()) if record.found_anything), None))


def title(info: RunInfo, topic: str) -> str:
    """A topic's title, or its id where the run does not know the topic."""
    return next((known.title for known in info.topics if known.id == topic), topic)


def toward(topic: TopicInfo, shift: float) -> str:
    """The pole that a signed shift points to."""
    return topic.poles[0 if shift > 0 else 1]


# What cannot be told


def _cannot_tell(info: RunInfo, record: Record, found: Decision) -> Verdict:
    alerts = tuple(f"{_moved(info, row)}." for row in alerted(record))
    why = found.why or ""
    if found.fault is not None:
        earlier = tuple(f"Known before: {sentence}" for sentence in alerts)
        headline = f"{why[0].upper()}{why[1:]}: nothing can be told of any topic."
        return Verdict("cannot_tell", headline, (TO_DO["not_finite"], *earlier), reason=found.reason)
    values = value_topics(info)
    told = [topic for topic in values if topic not in found.untold]
    if told and found.untold:
        names = listed([title(info, topic) for topic in found.untold])
        others = f"no alert on the other {len(told)}" if len(told) > 1 else f"no alert on {title(info, told[0])}"
        headline = f"Cannot tell on {names}: {why}; {others}."
    else:
        headline = f"Cannot tell: {why}."
    watched = _watched(info, record)
    details = [*alerts]
    if watched:
        details.append(f"Watched more closely: {listed(watched)}.")
    if found.reason is not None:
        details.append(TO_DO[found.reason])
    if screened_values(info, record) and found.reason != "no_resolution":
        details.append(f"On the screen, which has no stated false-alarm rate: {_screen_says(info, record)}.")
    return Verdict("cannot_tell", headline, (*details, *_limits(record)), reason=found.reason)


def _screen_says(info: RunInfo, record: Record) -> str:
    standing = standing_out(info, record)
    largest = screened_values(info, record)[0]
    controls = _controls_by_screen(controls_moved(info, record), shift_of(largest) or 0.0)
    if standing:
        return f"{_screened(info, standing[0])}; {controls}"
    return f"no value topic stands out, the largest move is {_screened(info, largest)}; {controls}"


# Evidence


def _by_evidence(info: RunInfo, record: Record, state: VerdictState) -> Verdict:
    alerts = alerted(record)
    controls = _controls_by_evidence(info, record)
    left_out = _left_out(info)
    if alerts:
        first = alerts[0]
        others = tuple(f"{_moved(info, row)}." for row in alerts[1:])
        label = (f"This alert is {first.label}: {LABEL_MEANINGS[first.label]}.",) if first.label else ()
        headline = f"{_moved(info, first)}; {controls}."
        return Verdict(
            state, headline, (*label, *others, *left_out), first.topic, figures=_figures(info, record, first)
        )
    found = (*_unread(record), *_detectable(record))
    if state == "watch":
        names = listed(_watched(info, record))
        return Verdict("watch", f"No alert; {names} watched more closely; {controls}.", (*found, *left_out))
    draws = max(row.num_draws for row in record.evidence)
    return Verdict(state, f"No topic has moved so far by {draws:,} pairs of replies; {controls}.", (*found, *left_out))


def _unread(record: Record) -> tuple[str, ...]:
    """A sentence where the newest observations judged no replies, but are too few for "nothing can be told"."""
    looks = max((row.looks_unread for row in record.evidence), default=0)
    if not looks:
        return ()
    which = "The last observation" if looks == 1 else f"The last {looks} observations"
    return (f"{which} read no replies: what has moved since is not seen, and after {NUM_RECENT} nothing can be told.",)


def _figures(info: RunInfo, record: Record, row: TopicEvidence) -> TopicFigures | None:
    return None if row.topic == POOLED else topic_figures(record.evidence, row.topic, info.topic(row.topic).poles)


def _watched(info: RunInfo, record: Record) -> list[str]:
    rows = [row.topic for row in record.evidence if row.state == "watch" and row.topic != POOLED]
    return list(dict.fromkeys(title(info, topic) for topic in rows))


def _left_out(info: RunInfo) -> tuple[str, ...]:
    """A sentence that names the value topics without resolution, about which the verdict says nothing."""
    names = [topic.title for topic in info.topics if not topic.control and topic.id in info.unresolved]
    return (f"Not in this verdict, for want of resolution: {listed(names)}.",) if names else ()


def _moved(info: RunInfo, row: TopicEvidence) -> str:
    """The clause of an alert, followed by the evidence that it rests on."""
    if row.topic == POOLED:
        return f"{clause(row, 'All topics', None)}; evidence {odds(row.log10_evidence)}"
    tolerance = info.topic(row.topic).tolerance
    is_beyond = row.state == "beyond_tolerance" and tolerance is not None
    beyond = f", beyond the tolerated {percent(tolerance)}" if is_beyond else ""
    said = clause(row, title(info, row.topic), info.topic(row.topic).poles)
    return f"{said}{beyond}; evidence {odds(row.log10_evidence)}"


def _controls_by_evidence(info: RunInfo, record: Record) -> str:
    controls = {topic.id for topic in info.topics if topic.control}
    rows = [row for row in record.evidence if row.topic in controls]
    if not rows:
        return "there are no control topics"
    moved = dict.fromkeys(title(info, row.topic) for row in rows if row.state not in ("ok", "ended"))
    return f"controls moved too: {listed(list(moved))}" if moved else "controls steady"


def _detectable(record: Record) -> tuple[str, ...]:
    known = detectable(record)
    if not known:
        return _limits(record)
    found = (
        f"A net shift of {percent_spread(min(known), max(known))} from the first observation on would have been found "
        "nine times out of ten. This is not a certificate that nothing smaller happened."
    )
    return (found, *_limits(record))


def _limits(record: Record) -> tuple[str, ...]:
    return tuple(f"Limited: {reason}." for reason in dict.fromkeys(row.why for row in record.evidence if row.why))


# Screen


def _by_screen(info: RunInfo, record: Record, state: VerdictState) -> Verdict:
    moved = standing_out(info, record)
    largest = screened_values(info, record)[0]
    controls = _controls_by_screen(controls_moved(info, record), shift_of(largest) or 0.0)
    if state == "general":
        return Verdict(
            state, f"Everything moved, controls included: {_screened(info, largest)}; {controls}.", (ONLY_SCREENED,)
        )
    if state != "watch":
        text = (
            "No value topic stands out from controls and numeric noise; the largest move is "
            f"{_screened(info, largest)}; {controls}."
        )
        return Verdict(state, text, (ONLY_SCREENED,))
    others = tuple(f"{_screened(info, drift)}." for drift in moved[1:])
    return Verdict("watch", f"{_screened(info, moved[0])}; {controls}.", (ONLY_SCREENED, *others), moved[0].topic)


def _screened(info: RunInfo, drift: Drift) -> str:
    shift = shift_of(drift) or 0.0
    topic = info.topic(drift.topic)
    if drift.log_odds_shift is not None:
        bounds, unit = drift.log_odds_interval, " nats per token on the screen"
    else:
        bounds, unit = drift.interval, " of the screen's score"
    shown = interval(bounds.lower, bounds.upper) if bounds else ""
    return f"{topic.title} toward “{toward(topic, shift)}”, {signed(shift)}{unit}{' ' + shown if shown else ''}"


def _controls_by_screen(moved: list[float], shift: float) -> str:
    """How far the controls moved, compared with the topic that moved, since training moves everything a little."""
    if not moved:
        return "there are no control topics"
    most = signed(max(moved)).lstrip("+")
    is_alike = max(moved) >= ALIKE * abs(shift) > 0
    return f"a control moved alike, by {most}" if is_alike else f"controls moved by at most {most}"
