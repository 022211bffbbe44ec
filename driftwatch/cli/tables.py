"""Tables that several commands show."""

from rich.table import Table
from rich.text import Text

from driftwatch.drift.interval import Interval
from driftwatch.record import BaselineName, Record, RunInfo
from driftwatch.report.words import printable
from driftwatch.stance import Probs


def drift_table(info: RunInfo, record: Record, *, baseline: BaselineName | None = None) -> Table:
    """How far each topic is from a baseline, one row a topic and probe.

    Args:
        info: The run.
        record: The look.
        baseline: `None` takes the one that alerts rest on.
    """
    against = baseline or info.alerting_baseline
    table = Table(title=f"step {record.step}, against the baseline {against}")
    for column in ("topic", "toward", "probe", "support", "neutral", "oppose", "score shift", "log-odds shift"):
        table.add_column(column, justify="left" if column in ("topic", "toward", "probe") else "right")
    for topic in info.topics:
        for drift in record.drifts:
            if drift.topic != topic.id or drift.baseline != against:
                continue
            leaning = drift.log_odds_shift if drift.score_shift is None else drift.score_shift
            toward = "–" if not leaning else topic.poles[0 if leaning > 0 else 1]
            table.add_row(
                said(f"{topic.id} (control)" if topic.control else topic.id),
                said(toward),
                said(drift.probe),
                *_magnitudes(drift.magnitude),
                _with_interval(drift.score_shift, drift.interval),
                _with_interval(drift.log_odds_shift, drift.log_odds_interval),
            )
    return table


def said(text: str) -> Text:
    """Text of a run for rich's console: no markup in it, and no control characters."""
    return Text(printable(text))


def signed(value: float | None, digits: int = 2) -> str:
    """A signed figure, or a dash where there is none."""
    return "–" if value is None else f"{value:+.{digits}f}"


def _magnitudes(magnitude: Probs | None) -> list[str]:
    return ["–"] * len(Probs._fields) if magnitude is None else [signed(value) for value in magnitude]


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return signed(value)
    return f"{signed(value)} [{signed(interval.lower)}, {signed(interval.upper)}]"
