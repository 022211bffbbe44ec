"""Tables that several commands show, each drawn for the width that there is: no word and no figure is ever cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from driftwatch.drift.interval import Interval
from driftwatch.record.record import BaselineName, Drift, Record, RunInfo, TopicInfo
from driftwatch.stance import STANCES
from driftwatch.wording import printable

NONE = "–"
_LONG = 12  # letters of a topic that stay on one line where there is little room
_WORDS = ("topic", "toward", "probe")  # columns that hold no figures
_WIDE = 10_000  # columns; nothing is wrapped in so many


class Layout(NamedTuple):
    """How much a table shows, and how.

    Attributes:
        shares: With the change of each stance's share.
        stacked: Intervals below their values, and a line between topics.
        broken: Long ids of topics on two lines.
    """

    shares: bool
    stacked: bool
    broken: bool


# The first that fits is taken. Where shares are left out, the shifts still say how far and which way.
LAYOUTS = (
    Layout(shares=True, stacked=False, broken=False),
    Layout(shares=True, stacked=True, broken=False),
    Layout(shares=False, stacked=False, broken=False),
    Layout(shares=False, stacked=True, broken=False),
    Layout(shares=False, stacked=True, broken=True),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table in the first layout in which nothing has to be cut; for a rich console.

    Attributes:
        draw: Makes the table of a layout.
        extra: What only layouts with shares show; "" where that is nothing.
    """

    draw: Callable[[Layout], Table]
    extra: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose by what each needs at least; the narrowest one where none fits."""
        tables = [self.draw(layout) for layout in LAYOUTS]
        needed = [Measurement.get(console, options.update(max_width=_WIDE), table).minimum for table in tables]
        chosen = next((n for n, width in enumerate(needed) if width <= options.max_width), len(LAYOUTS) - 1)
        if self.extra and not LAYOUTS[chosen].shares:
            least = min(width for width, layout in zip(needed, LAYOUTS, strict=True) if layout.shares)
            tables[chosen].caption = f"{least} columns would show {self.extra} as well"
        yield tables[chosen]


def drift_table(info: RunInfo, record: Record, *, baseline: BaselineName | None = None) -> Fitted:
    """How far each topic is from a baseline, one row a topic and probe.

    Args:
        info: The run.
        record: The look.
        baseline: `None` takes the one that alerts rest on.
    """
    against = baseline or info.alerting_baseline
    rows = [(t, d) for t in info.topics for d in record.drifts if d.topic == t.id and d.baseline == against]
    probes = list(dict.fromkeys(drift.probe for _, drift in rows))

    def draw(layout: Layout) -> Table:
        cells = [
            ("topic", [topic_name(topic, layout) for topic, _ in rows]),
            ("toward", [_toward(topic, drift) for topic, drift in rows]),
            ("probe", [printable(drift.probe) for _, drift in rows] if len(probes) > 1 else []),
        ]
        for n, stance in enumerate(STANCES if layout.shares else ()):
            cells.append((stance, [signed(d.magnitude[n] if d.magnitude else None) for _, d in rows]))
        cells.append(("score shift", [with_interval(d.score_shift, d.interval, layout) for _, d in rows]))
        cells.append(
            ("log-odds shift", [with_interval(d.log_odds_shift, d.log_odds_interval, layout) for _, d in rows])
        )
        # What is the same in all rows, or known in none, needs no column.
        cells = [(name, column) for name, column in cells if not rows or set(column) - {NONE}]
        by = f", by {printable(probes[0])}" if len(probes) == 1 else ""
        title = Text(f"step {record.step}, against the baseline {against}{by}")
        return filled(Table(title=title), cells, [topic.id for topic, _ in rows] if layout.stacked else ())

    has_shares = any(drift.magnitude is not None for _, drift in rows)
    return Fitted(draw, "the shares of support, neutral and oppose" if has_shares else "")


def filled(table: Table, cells: Sequence[tuple[str, Sequence[str]]], parts: Sequence[str] = ()) -> Table:
    """A table with these columns; the names of poles may be wrapped between words, and nothing else is.

    Args:
        table: Empty so far.
        cells: Columns by name, of printable text; "topic", "toward" and "probe" hold words, the others figures.
        parts: What each row belongs to; a line is drawn where that changes.
    """
    for name, column in cells:
        is_figure = name not in _WORDS
        pieces = [piece for text in column for piece in (text.split() if name == "toward" else text.splitlines())]
        table.add_column(
            said(name),
            justify="right" if is_figure else "left",
            no_wrap=name != "toward",
            min_width=max(map(len, [*pieces, *name.split()])),
        )
    for n, row in enumerate(zip(*(column for _, column in cells), strict=True)):
        table.add_row(*map(Text, row), end_section=n + 1 < len(parts) and parts[n + 1] != parts[n])
    return table


def topic_name(topic: TopicInfo, layout: Layout) -> str:
    """Its id, and whether it is a control."""
    name = printable(topic.id)
    if layout.broken and len(name) > _LONG:
        name = broken(name)
    between = " " if layout.shares and not layout.stacked else "\n"
    return f"{name}{between}(control)" if topic.control else name


def broken(name: str) -> str:
    """A long id on two lines, at its last underscore."""
    first, cut, last = name.rpartition("_")
    return f"{first}{cut}\n{last}" if cut else name


def with_interval(value: float | None, interval: Interval | None, layout: Layout) -> str:
    """A signed figure with the ends of its interval."""
    if value is None or interval is None:
        return signed(value)
    between = "\n" if layout.stacked else " "
    return f"{signed(value)}{between}[{signed(interval.lower)}, {signed(interval.upper)}]"


def said(text: str) -> Text:
    """Text of a run for rich's console: no markup in it, and no control characters."""
    return Text(printable(text))


def signed(value: float | None, digits: int = 2) -> str:
    """A signed figure, or a dash where there is none."""
    return NONE if value is None else f"{value:+.{digits}f}"


def _toward(topic: TopicInfo, drift: Drift) -> str:
    leaning = drift.log_odds_shift if drift.score_shift is None else drift.score_shift
    return printable(topic.poles[0 if leaning > 0 else 1]) if leaning else NONE
