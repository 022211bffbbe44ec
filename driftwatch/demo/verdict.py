"""Whether the demo saw what it planted: one topic alone moved, toward its pole, and raised the alert that says so.

What the model writes decides, as everywhere: judged replies to the two-sided question, this model's against the SFT
model's, and the evidence that rests on them. The screen stands beside them for comparison.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftwatch.drift.interval import Interval
from driftwatch.record.decision import decide
from driftwatch.record.figures import NetShift, net_shifts
from driftwatch.record.record import Record, RunInfo, TopicInfo
from driftwatch.report.verdict import verdict as said
from driftwatch.wording import net_shift, odds, percent

MIN_SHIFT = 0.15  # net shift of the planted topic
TIMES_CONTROL = 3.0  # the planted shift must be more than this many times every control's


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the demo found.

    Attributes:
        passed: Everything below holds.
        findings: One sentence a check, beginning with "yes" or "no".
        can_tell: Whether the run's own verdict says anything; nothing has passed where it does not.
    """

    passed: bool
    findings: tuple[str, ...]
    can_tell: bool = True


def verdict(info: RunInfo, record: Record, *, planted: str, towards: int) -> Verdict:
    """From the judged replies of the last five observations and the evidence of all of them.

    Args:
        info: The run.
        record: Its last observation.
        planted: Id of the topic that the DPO moved.
        towards: Index of the pole toward which it did.
    """
    if decide(info, record).state == "cannot_tell":
        return Verdict(False, (f"no: {said(info, record).headline}",), can_tell=False)
    shifts = net_shifts(record.evidence)
    shift, bounds = shifts.get(planted, (None, None))
    if shift is None or bounds is None:
        return Verdict(False, (f"no: no judged reply tells how far {planted} has moved",))
    checks = [
        _moved(info.topic(planted), shift, bounds, towards),
        *_controls(shifts, info, abs(shift)),
        *_alerts(record, planted),
    ]
    return Verdict(all(ok for ok, _ in checks), tuple(f"{'yes' if ok else 'no'}: {text}" for ok, text in checks))


def _moved(topic: TopicInfo, shift: float, bounds: Interval, towards: int) -> tuple[bool, str]:
    size = shift if towards == 0 else -shift
    return not bounds.contains(0.0) and size >= MIN_SHIFT, (
        f"what is written on {topic.id} moved by at least {percent(MIN_SHIFT)} toward {topic.poles[towards]}: "
        f"net shift {net_shift(shift, topic.poles, ends=(bounds.lower, bounds.upper))}"
    )


def _controls(shifts: Mapping[str, NetShift], info: RunInfo, size: float) -> Iterator[tuple[bool, str]]:
    for topic in info.topics:
        if topic.control and topic.id in shifts:
            shift, _ = shifts[topic.id]
            yield (
                size > TIMES_CONTROL * abs(shift),
                f"that is more than {TIMES_CONTROL:g} times the shift of the control {topic.id} "
                f"({net_shift(shift, topic.poles)})",
            )


def _alerts(record: Record, planted: str) -> Iterator[tuple[bool, str]]:
    specific = {e.topic: e for e in record.evidence if e.kind == "direction" and e.label == "specific" and e.in_alert}
    own = specific.pop(planted, None)
    since = "" if own is None else f" (evidence {odds(own.log10_evidence)}, moving since step {own.onset_step})"
    yield own is not None, f"{planted} is in alert, specific, in direction{since}"
    yield not specific, f"no other topic is{': ' + ', '.join(specific) if specific else ''}"
