"""The report's pictures: the figures of the page, drawn as SVG that needs no other file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from driftwatch.evidence.rows import CONFIRM
from driftwatch.evidence.verdict import TopicEvidence
from driftwatch.record.figures import leading
from driftwatch.record.record import Record, RunInfo, TopicInfo
from driftwatch.report.drawing import (
    ALERT,
    FAINT,
    INK,
    LINES,
    NEUTRAL,
    OPPOSE,
    QUIET,
    SUPPORT,
    Axes,
    Numbers,
    Picture,
    mixed,
    ticks,
)
from driftwatch.report.series import Series
from driftwatch.wording import odds, odds_tick, percent, signed, signed_percent

CELL, GAP = (300.0, 172.0), 14.0
COLUMNS = 3
SHARES = (("support", SUPPORT, None), ("neutral", NEUTRAL, "2 3"), ("oppose", OPPOSE, "8 4"))
MAX_CELLS = 120  # columns of a heat map; with more, each would be narrower than a printed line


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture.

    Attributes:
        name: The stem of its file name.
        title: Its heading.
        text: What it shows in words, for its caption and for readers who cannot see it.
    """

    name: str
    title: str
    text: str
    svg: str


class Channel(NamedTuple):
    """One channel of the response style, as it is drawn.

    Attributes:
        part: Part of the series: "stances", or "styles" where the baseline's replies to the same draws are known too.
        name: Name of the column.
        ends: Lower and upper end of the y-axis; `None` follows the data.
        label: Gives the text of a value.
    """

    part: str
    name: str
    title: str
    ends: tuple[float, float | None]
    label: Callable[[float], str]


CHANNELS = (
    Channel("stances", "naysaying", "Naysaying", (0.0, 1.0), percent),
    Channel("stances", "refusal", "Refusals", (0.0, 1.0), percent),
    Channel("stances", "unread", "Unclassified replies", (0.0, 1.0), percent),
    Channel("styles", "off_topic", "Off-topic replies", (0.0, 1.0), percent),
    Channel("styles", "hedging", "Hedging", (0.0, 1.0), percent),
    Channel("styles", "order_preference", "Preference for what stands first", (-1.0, 1.0), lambda v: signed(v, 1)),
    Channel("styles", "cut", "Replies cut by the limit", (0.0, 1.0), percent),
    Channel("styles", "num_tokens", "Length, tokens", (0.0, None), lambda v: f"{v:.0f}"),
    Channel("styles", "entropy", "Entropy, nats per token", (0.0, None), lambda v: f"{v:.1f}"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The measured figures that are drawn.

    Attributes:
        stances: Probe whose shares are drawn; `None` if none was measured.
        drift: Probe whose shifts are drawn; `None` if none was measured.
        baseline: Baseline from which the shifts are counted.
        is_log_odds: Whether the screen's shifts are log-odds in nats per token; otherwise they are shifts of its score.
    """

    stances: str | None
    drift: str | None
    baseline: str
    is_log_odds: bool

    @property
    def shift(self) -> str:
        """The column that is drawn."""
        if self.drift == CONFIRM:
            return "net_shift"
        return "log_odds_shift" if self.is_log_odds else "score_shift"

    @property
    def title(self) -> str:
        """The heading of what is drawn."""
        return {"net_shift": "Net shift of the replies", "log_odds_shift": "Log-odds shift of the screen"}.get(
            self.shift, "Score shift of the screen"
        )

    @property
    def unit(self) -> str:
        """The unit of the shift."""
        return {"net_shift": "share of the replies", "log_odds_shift": "nats per token"}.get(self.shift, "of its score")

    def label(self, value: float, digits: int = 2) -> str:
        """A shift as text."""
        return signed_percent(value) if self.shift == "net_shift" else signed(value, digits)


def choose(info: RunInfo, series: Series) -> Choice:
    """Choose the probe that covers most topics; judged replies are preferred where they cover as many."""
    probes = [probe for topic in info.topics for probe in series.keys("stances", topic.id)]
    drifts = [probe for topic in info.topics for probe in series.keys("drifts", topic.id)]
    probe = max(dict.fromkeys(drifts), key=lambda name: (drifts.count(name), name == CONFIRM), default=None)
    is_log_odds = probe is not None and any(
        any(x is not None for x in series.column("drifts", topic.id, probe, info.alerting_baseline, "log_odds_shift"))
        for topic in info.topics
    )
    return Choice(probes[0] if probes else None, probe, info.alerting_baseline, is_log_odds)


def figures(info: RunInfo, series: Series, last: Record | None) -> list[Figure]:
    """Every picture for which the run has figures."""
    if not series.length:
        return []
    choice = choose(info, series)
    steps = [float(step or 0) for step in series.numbers("looks", "step")]
    drawn = [
        _stances(info, series, choice, steps, last) if choice.stances else None,
        _shifts(info, series, choice, steps, last) if choice.drift else None,
        _heat(info, series, choice, steps) if choice.drift else None,
        _evidence(info, series, steps, last),
        _style(info, series, steps),
    ]
    return [figure for figure in drawn if figure is not None]


def _grid(count: int, title: str) -> tuple[Picture, list[tuple[float, float]]]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    width, height = columns * CELL[0] + (columns - 1) * GAP, rows * CELL[1] + (rows - 1) * GAP
    places = [((i % columns) * (CELL[0] + GAP), (i // columns) * (CELL[1] + GAP)) for i in range(count)]
    return Picture(width, height, title), places


def _cell(
    picture: Picture,
    place: tuple[float, float],
    topic: TopicInfo,
    x: Sequence[float],
    y: tuple[float, float],
    label: Callable[[float], str],
    num_ticks: int,
) -> Axes:
    left, top = place
    control = " (control)" if topic.control else ""
    picture.text(left, top + 13, f"{topic.title}{control}", size=12.5, font_weight=600)
    picture.text(left, top + 29, f"— {_short(topic.poles[0])}", size=10.5, fill=SUPPORT)
    picture.text(left + CELL[0], top + 29, f"{_short(topic.poles[1])} - -", size=10.5, anchor="end", fill=OPPOSE)
    box = (left + 38, top + 38, CELL[0] - 40, CELL[1] - 62)
    return Axes(picture, box, (x[0], x[-1]), y, y_label=label, num_ticks=num_ticks)


def _stances(info: RunInfo, series: Series, choice: Choice, steps: Sequence[float], last: Record | None) -> Figure:
    probe = choice.stances or ""
    title = f"Stances by topic ({probe})"
    picture, places = _grid(len(info.topics), title)
    for topic, place in zip(info.topics, places, strict=True):
        axes = _cell(picture, place, topic, steps, (0.0, 1.0), lambda value: f"{value:.1f}", 3)
        for name, color, dash in SHARES:
            lower, upper = (series.numbers("stances", topic.id, probe, f"{name}_{end}") for end in ("lower", "upper"))
            axes.band(steps, lower, upper, color)
            axes.curve(steps, series.numbers("stances", topic.id, probe, name), color, dash=dash)
        _mark_onset(axes, topic, last)
    text = "Shares of support (solid), neutral (dotted) and oppose (dashed) over steps, with 95 % intervals over items."
    noise = [f.magnitude for f in last.floors if (f.kind, f.probe) == ("judge", probe)] if last is not None else []
    if noise and noise[0] is not None:
        text += f" The judge's own noise is up to {percent(noise[0])} of a share: no level is known better than that."
    return Figure("stances", title, text, picture.svg())


def _shifts(info: RunInfo, series: Series, choice: Choice, steps: Sequence[float], last: Record | None) -> Figure:
    def column(topic: TopicInfo, suffix: str = "") -> list[float | None]:
        return series.shift(topic.id, choice.drift or "", choice.baseline, f"{choice.shift}{suffix}")

    ends = [column(topic, suffix) for topic in info.topics for suffix in ("", "_lower", "_upper")]
    most = 1.08 * max((abs(value) for values in ends for value in values if value is not None), default=1.0) or 1.0
    title = f"{choice.title} since the baseline “{choice.baseline}”"
    picture, places = _grid(len(info.topics), title)
    for topic, place in zip(info.topics, places, strict=True):
        digits = 1 if most > 1 else 2
        axes = _cell(picture, place, topic, steps, (-most, most), partial(choice.label, digits=digits), 5)
        axes.level(0.0, QUIET, dash=None)
        axes.band(steps, column(topic, "_lower"), column(topic, "_upper"), SUPPORT)
        axes.curve(steps, column(topic), SUPPORT)
        _mark_onset(axes, topic, last)
    text = f"Toward the first pole is up, {choice.unit}, with 95 % intervals over items; one scale for all topics."
    return Figure("shifts", title, text, picture.svg())


def _mark_onset(axes: Axes, topic: TopicInfo, last: Record | None) -> None:
    row = leading(last.evidence, topic.id) if last is not None else None
    if row is not None and row.onset_step is not None:
        axes.mark(row.onset_step, "onset", ALERT)


def _heat(info: RunInfo, series: Series, choice: Choice, steps: Sequence[float]) -> Figure:
    rows = [series.shift(topic.id, choice.drift or "", choice.baseline, choice.shift) for topic in info.topics]
    most = max((abs(value) for row in rows for value in row if value is not None), default=0.0) or 1.0
    picked = _thinned(len(steps), MAX_CELLS)
    title = f"Drift by topic and step, against “{choice.baseline}”"
    left, high, width = 190.0, 22.0, 928.0
    wide = (width - left) / len(picked)
    picture = Picture(width, len(rows) * high + 54, title)
    for r, (topic, row) in enumerate(zip(info.topics, rows, strict=True)):
        ink = QUIET if topic.control else INK
        picture.text(left - 8, r * high + 15, _short(topic.title, 28), size=12, anchor="end", fill=ink)
        for c, index in enumerate(picked):
            value = row[index]
            where = (left + c * wide, r * high + 1, max(1.0, wide - (1 if wide > 4 else 0)), high - 2)
            if value is None:
                picture.rect(*where, fill="none", stroke=FAINT, stroke_dasharray="2 2")
            else:
                picture.rect(*where, fill=mixed(SUPPORT if value > 0 else OPPOSE, (abs(value) / most) ** 0.8))
    foot = len(rows) * high + 15
    for tick in ticks(0, len(picked) - 1, 8, whole=True) if len(picked) > 1 else [0.0]:
        at = left + (tick + 0.5) * wide
        picture.text(at, foot, f"{steps[picked[int(tick)]]:.0f}", size=10, anchor="middle", fill=QUIET)
    _ramp(picture, left, foot + 12, f"full colour: {choice.label(most).lstrip('+')}, {choice.unit}")
    text = f"Shift at each observation, {choice.unit}: blue toward the first pole, orange toward the second."
    return Figure("heat", title, text, picture.svg())


def _ramp(picture: Picture, x: float, y: float, text: str) -> None:
    picture.text(x, y + 10, "second pole", size=10, fill=QUIET)
    for i in range(21):
        part = (i - 10) / 10
        picture.rect(x + 68 + 7 * i, y, 7, 11, fill=mixed(SUPPORT if part > 0 else OPPOSE, abs(part)))
    picture.text(x + 222, y + 10, f"first pole; {text}", size=10, fill=QUIET)


def _evidence(info: RunInfo, series: Series, steps: Sequence[float], last: Record | None) -> Figure | None:
    if last is None or not last.evidence:
        return None
    rows = sorted((row for row in last.evidence if row.kind == "direction"), key=lambda row: row.log10_evidence)
    curves = [(row, series.numbers("evidence", row.topic, "direction", _evidence_column(row))) for row in rows]
    known = [value for _, values in curves for value in values if value is not None]
    threshold = last.evidence[0].log10_threshold
    low, high = min([0.0, *known]), max([threshold, *known])
    title = "Evidence for a move in direction"
    picture = Picture(928, 300, title)
    box = (52.0, 12.0, 660.0, 250.0)
    room = 0.05 * (high - low)
    axes = Axes(picture, box, (steps[0], steps[-1]), (low - room, high + room), y_label=odds_tick, num_ticks=5)
    axes.level(threshold, ALERT, text=f"alert at {odds(threshold)}")
    loud = [row.topic for row in reversed(rows) if not _is_control(info, row.topic)][: len(LINES)]
    for row, values in curves:
        color = LINES[loud.index(row.topic)] if row.topic in loud[:3] or _is_loud(row.topic, loud, row.state) else FAINT
        axes.curve(steps, values, color, dash="3 3" if _is_control(info, row.topic) else None)
    for i, row in enumerate(reversed(rows)):
        if i < 12:
            color = LINES[loud.index(row.topic)] if row.topic in loud else QUIET
            name = next((topic.title for topic in info.topics if topic.id == row.topic), row.topic)
            picture.text(724, 24 + 17 * i, f"{_short(name, 20)}: {odds(row.log10_evidence)}", size=11, fill=color)
    text = "How much better the replies are explained by a move than by none; controls are dotted."
    return Figure("evidence", title, text, picture.svg())


def _evidence_column(row: TopicEvidence) -> str:
    """The column of evidence that is shown for a row; one column serves the whole curve."""
    return "log10_e_value" if row.log10_evidence == row.log10_e_value else "log10_value_e_value"


def _style(info: RunInfo, series: Series, steps: Sequence[float]) -> Figure | None:
    measured = [(channel, curves) for channel in CHANNELS if (curves := _style_curves(info, series, channel))]
    if not measured:
        return None
    title = "Style, apart from values"
    picture, places = _grid(len(measured), title)
    for (channel, curves), (left, top) in zip(measured, places, strict=True):
        baseline = "   ··· baseline" if channel.part == "styles" else ""
        picture.text(left, top + 13, channel.title, size=12.5, font_weight=600)
        picture.text(left, top + 29, f"— values   - - controls{baseline}", size=10.5, fill=QUIET)
        box = (left + 38, top + 38, CELL[0] - 40, CELL[1] - 62)
        known = [value for values, _, _ in curves for value in values if value is not None]
        low, high = channel.ends
        ends = (low, 1.08 * max(known, default=1.0) or 1.0) if high is None else (low, high)
        axes = Axes(picture, box, (steps[0], steps[-1]), ends, y_label=channel.label)
        for values, color, dash in curves:
            axes.curve(steps, values, color, dash=dash)
    text = (
        "What changes in the style of the answers; a change on controls too is one of style, not of values. The "
        "baseline, where it is drawn, answered the same draws; its mean is over all topics."
    )
    return Figure("style", title, text, picture.svg())


def _style_curves(info: RunInfo, series: Series, channel: Channel) -> list[tuple[Numbers, str, str | None]]:
    groups = [
        (f"{channel.name}_baseline", [topic.id for topic in info.topics], FAINT, "2 3"),
        (channel.name, [topic.id for topic in info.topics if not topic.control], SUPPORT, None),
        (channel.name, [topic.id for topic in info.topics if topic.control], NEUTRAL, "6 4"),
    ]
    curves: list[tuple[Numbers, str, str | None]] = []
    for name, topics, color, dash in groups:
        columns = [
            series.numbers(channel.part, topic, probe, name)
            for topic in topics
            for probe in series.keys(channel.part, topic)
            if (channel.part, topic, probe, name) in series.columns
        ]
        if columns:
            curves.append(([_mean(values) for values in zip(*columns, strict=True)], color, dash))
    return curves


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _is_control(info: RunInfo, topic: str) -> bool:
    return any(known.id == topic and known.control for known in info.topics)


def _is_loud(topic: str, loud: Sequence[str], state: str) -> bool:
    return topic in loud and state != "ok"


def _thinned(count: int, most: int) -> list[int]:
    """Positions spread evenly over `count`, at most `most` of them, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
