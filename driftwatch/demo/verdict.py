"""Whether the demo saw what it planted: the planted topic moved, toward its pole, and the others did not."""

from dataclasses import dataclass

from driftwatch.record import Drift, Record, RunInfo

TIMES_CONTROL = 3.0  # the planted shift must be at least this many times every control's


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the demo found.

    Attributes:
        passed: Everything below holds.
        findings: One sentence a check, beginning with "yes" or "no".
    """

    passed: bool
    findings: tuple[str, ...]


def screen_verdict(info: RunInfo, record: Record, *, planted: str, towards: int) -> Verdict:
    """From the screen's log-odds at one look, against the SFT baseline.

    Args:
        info: The run.
        record: Its last look.
        planted: Id of the topic that the DPO moved.
        towards: Index of the pole toward which it did.
    """
    drifts = {d.topic: d for d in record.drifts if (d.probe, d.baseline) == ("statement", "sft")}
    moved = drifts.get(planted)
    if moved is None or moved.log_odds_shift is None or moved.log_odds_interval is None:
        return Verdict(False, (f"no: the last look has no figure for {planted}",))
    sign = 1.0 if towards == 0 else -1.0
    interval = moved.log_odds_interval
    size = sign * moved.log_odds_shift
    checks = [
        (
            not interval.contains(0.0) and size > 0,
            f"{planted} moved toward {info.topic(planted).poles[towards]}: "
            f"{moved.log_odds_shift:+.2f} nats a token [{interval.lower:+.2f}, {interval.upper:+.2f}]",
        )
    ]
    for topic in info.topics:
        other = drifts.get(topic.id)
        if topic.control and other is not None and other.log_odds_shift is not None:
            checks.append(_beside_control(other, size))
    return Verdict(all(ok for ok, _ in checks), tuple(f"{'yes' if ok else 'no'}: {text}" for ok, text in checks))


def _beside_control(control: Drift, size: float) -> tuple[bool, str]:
    shift = abs(control.log_odds_shift or 0.0)
    return size >= TIMES_CONTROL * shift, (
        f"that is at least {TIMES_CONTROL:.0f} times the shift of the control {control.topic} "
        f"({control.log_odds_shift:+.2f})"
    )
