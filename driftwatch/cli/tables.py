"""Tables that several commands show, fitted to the terminal's width so that no word and no figure is ever cut."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from driftwatch.drift.interval import Interval
from driftwatch.evidence.rows import CONFIRM
from driftwatch.record.figures import NetShift, net_shifts
from driftwatch.record.record import BaselineName, Drift, Record, RunInfo, TopicInfo
from driftwatch.stance import STANCES
from driftwatch.wording import NO_FIGURE as NONE
from driftwatch.wording import percent_interval, printable, signed, signed_percent

_LONG = 12  # letters of a topic's id that stay on one line where there is little room
_WORDS = ("topic", "toward", "probe")  # columns that hold no figures
_WIDE = 10_000  # columns, so many that nothing is wrapped


class Layout(NamedTuple):
    """How much a table shows, and how.

    Attributes:
        shares: Whether the change of each stance's share is shown.
        stacked: Whether intervals stand below their values, with a line between topics.
        broken: Whether long ids of topics are put on two lines.
    """

    shares: bool
    stacked: bool
    broken: bool


# The first layout that fits is taken. Where shares are left out, the shifts still say how far and which way.
LAYOUTS = (
    Layout(shares=True, stacked=False, broken=False),
    Layout(shares=True, stacked=True, broken=False),
    Layout(shares=False, stacked=False, broken=False),
    Layout(shares=False, stacked=True, broken=False),
    Layout(shares=False, stacked=True, broken=True),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table for a rich console, in the first layout in which nothing has to be cut.

    Attributes:
        draw: Makes the table in a layout.
        extra: Text that only layouts with shares show; "" for none.
    """

    draw: Callable[[Layout], Table]
    extra: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose a layout by the least width that it needs; where none fits, the narrowest is taken."""
        tables = [self.draw(layout) for layout in LAYOUTS]
        needed = [Measurement.get(console, options.update(max_width=_WIDE), table).minimum for table in tables]
        chosen = next((n for n, width in enumerate(needed) if width <= options.max_width), len(LAYOUTS) - 1)
        if self.extra and not LAYOUTS[chosen].shares:
            least = min(width for width, layout in zip(needed, LAYOUTS, strict=True) if layout.shares)
            tables[chosen].caption = f"{least} columns would show {self.extra} as well"
        yield tables[chosen]


def drift_table(info: RunInfo, record: Record, *, baseline: BaselineName | None = None) -> Group:
    """A table of how far each topic is from a baseline, by judged replies (as net shifts) and by other probes.

    Args:
        info: The run.
        record: The observation.
        baseline: Baseline to compare with; `None` takes the one that alerts rest on.
    """
    against = baseline or info.alerting_baseline
    rows = [(t, d) for t in info.topics for d in record.drifts if d.topic == t.id and d.baseline == against]
    judged = [(topic, drift) for topic, drift in rows if drift.probe == CONFIRM]
    others = [(topic, drift) for topic, drift in rows if drift.probe != CONFIRM]
    title = f"step {record.step}, against the baseline {against}"
    tables = [_judged(title, judged, net_shifts(record.evidence))] if judged else []
    return Group(*tables, *([_screened(title, others)] if others or not judged else []))


def _judged(title: str, rows: Sequence[tuple[TopicInfo, Drift]], shifts: Mapping[str, NetShift]) -> Fitted:
    found = [shifts.get(topic.id, (None, None)) for topic, _ in rows]

    def draw(layout: Layout) -> Table:
        cells = [
            ("topic", [topic_name(topic, layout) for topic, _ in rows]),
            ("toward", [_pole(topic, shift) for (topic, _), (shift, _) in zip(rows, found, strict=True)]),
            *_shares(rows, layout),
            ("net shift", [_net(shift, bounds, layout) for shift, bounds in found]),
        ]
        return _drawn(f"{title}, by judged replies", rows, cells, layout)

    return _fitted(draw, rows)


def _screened(title: str, rows: Sequence[tuple[TopicInfo, Drift]]) -> Fitted:
    probes = list(dict.fromkeys(drift.probe for _, drift in rows))
    by = f", by {'the screen' if probes == ['statement'] else printable(probes[0])}" if len(probes) == 1 else ""

    def draw(layout: Layout) -> Table:
        leanings = [d.log_odds_shift if d.score_shift is None else d.score_shift for _, d in rows]
        cells = [
            ("topic", [topic_name(topic, layout) for topic, _ in rows]),
            ("toward", [_pole(topic, leaning) for (topic, _), leaning in zip(rows, leanings, strict=True)]),
            ("probe", [printable(drift.probe) for _, drift in rows] if len(probes) > 1 else []),
            *_shares(rows, layout),
            ("score shift", [with_interval(d.score_shift, d.interval, layout) for _, d in rows]),
            ("log-odds shift", [with_interval(d.log_odds_shift, d.log_odds_interval, layout) for _, d in rows]),
        ]
        return _drawn(f"{title}{by}", rows, cells, layout)

    return _fitted(draw, rows)


def _shares(rows: Sequence[tuple[TopicInfo, Drift]], layout: Layout) -> list[tuple[str, list[str]]]:
    return [
        (stance, [signed(drift.magnitude[n] if drift.magnitude else None) for _, drift in rows])
        for n, stance in enumerate(STANCES if layout.shares else ())
    ]


def _drawn(
    title: str, rows: Sequence[tuple[TopicInfo, Drift]], cells: list[tuple[str, list[str]]], layout: Layout
) -> Table:
    # A figure that no row has gets no column.
    cells = [(name, column) for name, column in cells if not rows or set(column) - {NONE}]
    return filled(Table(title=Text(title)), cells, [topic.id for topic, _ in rows] if layout.stacked else ())


def _fitted(draw: Callable[[Layout], Table], rows: Sequence[tuple[TopicInfo, Drift]]) -> Fitted:
    has_shares = any(drift.magnitude is not None for _, drift in rows)
    return Fitted(draw, "the shares of support, neutral and oppose" if has_shares else "")


def filled(table: Table, cells: Sequence[tuple[str, Sequence[str]]], parts: Sequence[str] = ()) -> Table:
    """A table with these columns; the names of poles may be wrapped between words, and nothing else is.

    Args:
        table: An empty table.
        cells: Columns by name, of printable text; "topic", "toward" and "probe" hold words, the others figures.
        parts: The group that each row belongs to; a line is drawn where it changes.
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
    """A topic's id, marked if it is a control."""
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
    """Text of a run for rich's console, without markup and control characters."""
    return Text(printable(text))


def _net(shift: float | None, bounds: Interval | None, layout: Layout) -> str:
    """A net shift with the ends of its interval."""
    if bounds is None:
        return signed_percent(shift)
    between = "\n" if layout.stacked else " "
    return f"{signed_percent(shift)}{between}{percent_interval(bounds.lower, bounds.upper)}"


def _pole(topic: TopicInfo, shift: float | None) -> str:
    return printable(topic.poles[0 if shift > 0 else 1]) if shift else NONE
