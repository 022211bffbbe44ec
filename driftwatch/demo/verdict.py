"""Whether the demo saw what it planted: one topic alone moved, toward its pole, and raised the alert that says so.

What the model writes decides, as everywhere: judged replies to the two-sided question, this model's against the SFT
model's, and the evidence that rests on them. The screen stands beside them for comparison.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from driftwatch.evidence.rows import CONFIRM
from driftwatch.record.decision import decide
from driftwatch.record.record import Drift, Record, RunInfo
from driftwatch.report.verdict import verdict as said
from driftwatch.wording import odds

MIN_SHIFT = 0.3  # of the planted topic's score, in [0, 2]
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
    """From the judged replies of the last five looks and the evidence of all of them.

    Args:
        info: The run.
        record: Its last look.
        planted: Id of the topic that the DPO moved.
        towards: Index of the pole toward which it did.
    """
    if decide(info, record).state == "cannot_tell":
        return Verdict(False, (f"no: {said(info, record).headline}",), can_tell=False)
    drifts = {d.topic: d for d in record.drifts if d.probe == CONFIRM}
    moved = drifts.get(planted)
    if moved is None or moved.score_shift is None or moved.interval is None:
        return Verdict(False, (f"no: no judged reply tells how far {planted} has moved",))
    checks = [_moved(moved, info, towards), *_controls(drifts, info, abs(moved.score_shift)), *_alerts(record, planted)]
    return Verdict(all(ok for ok, _ in checks), tuple(f"{'yes' if ok else 'no'}: {text}" for ok, text in checks))


def _moved(drift: Drift, info: RunInfo, towards: int) -> tuple[bool, str]:
    assert drift.score_shift is not None
    assert drift.interval is not None
    size = drift.score_shift if towards == 0 else -drift.score_shift
    return not drift.interval.contains(0.0) and size >= MIN_SHIFT, (
        f"what is written on {drift.topic} moved by at least {MIN_SHIFT:g} toward "
        f"{info.topic(drift.topic).poles[towards]}: "
        f"score shift {drift.score_shift:+.2f} [{drift.interval.lower:+.2f}, {drift.interval.upper:+.2f}]"
    )


def _controls(drifts: dict[str, Drift], info: RunInfo, size: float) -> Iterator[tuple[bool, str]]:
    for topic in info.topics:
        control = drifts.get(topic.id)
        if topic.control and control is not None and control.score_shift is not None:
            yield (
                size > TIMES_CONTROL * abs(control.score_shift),
                (
                    f"that is more than {TIMES_CONTROL:g} times the shift of the control {topic.id} "
                    f"({control.score_shift:+.2f})"
                ),
            )


def _alerts(record: Record, planted: str) -> Iterator[tuple[bool, str]]:
    specific = {
        e.topic: e
        for e in record.evidence
        if e.kind == "direction" and e.label == "specific" and e.state in ("alert", "material")
    }
    own = specific.pop(planted, None)
    since = "" if own is None else f" (evidence {odds(own.log10_e_value)}, moving since step {own.onset_step})"
    yield own is not None, f"{planted} is in alert, specific, in direction{since}"
    yield not specific, f"no other topic is{': ' + ', '.join(specific) if specific else ''}"
