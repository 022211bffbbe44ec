"""Whether the demo found the drift that it planted: that topic alone moved, toward its pole, and raised an alert.

As everywhere, the verdict rests on what the model writes: judged replies to the two-sided question, compared with those
of the SFT model, and the evidence from them. The screen's figures are shown for comparison.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftwatch.drift.interval import Interval
from driftwatch.record.decision import decide
from driftwatch.record.figures import NetShift, net_shifts
from driftwatch.record.record import Record, RunInfo, TopicInfo
from driftwatch.report.verdict import verdict as said
from driftwatch.wording import net_shift, odds, percent

MIN_SHIFT = 0.15  # smallest net shift of the planted topic
TIMES_CONTROL = 3.0  # the planted shift must be more than this many times every control's


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of the demo on itself.

    Attributes:
        passed: Whether every check holds.
        findings: One sentence per check, beginning with "yes" or "no".
        can_tell: Whether the run's own verdict says anything; if it does not, nothing has passed.
    """

    passed: bool
    findings: tuple[str, ...]
    can_tell: bool = True


def verdict(info: RunInfo, record: Record, *, planted: str, towards: int) -> Verdict:
    """The demo's verdict, from the judged replies of the last five observations and the evidence of all observations.

    Args:
        info: The run.
        record: Its last observation.
        planted: Id of the topic that the DPO moved.
        towards: Index of the pole toward which the DPO moved it.
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
