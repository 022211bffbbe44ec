"""Series: the figures of a run's observations as columns, for curves and heat maps.

A column holds one figure over the observations, `None` where an observation did not measure it. A path such as
("stances", "immigration", "statement", "support") names a column; in JSON the paths are nested.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from driftwatch.drift.style import FIGURES as STYLE_FIGURES
from driftwatch.evidence.rows import CONFIRM
from driftwatch.record.record import Drift, Interval, Record, StylePair, TopicEvidence, TopicStance
from driftwatch.stance import STANCES, Probs

Key = tuple[str, ...]
Figure = float | int | str | None
DIGITS = 5  # decimals; a pixel shows fewer, and rounding makes a page of 200 observations half as large


class Series:
    """Columns that grow observation by observation."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.length = 0
        self.columns: dict[Key, list[Figure]] = {}
        self.alerts: list[dict[str, Any]] = []
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Append one observation."""
        columns, length = self.columns, self.length
        for path, value in figures(record):
            column = columns.get(path)
            if column is None:
                column = columns[path] = []
            if len(column) < length:
                column.extend([None] * (length - len(column)))
            column.append(round(value, DIGITS) if isinstance(value, float) else value)
        for alert in record.alerts:
            self.alerts.append({"step": record.step, "look": record.look, **_fields(alert)})
        self.length += 1

    def column(self, *path: str) -> list[Figure]:
        """One figure over all observations; all `None` if it was never measured."""
        column = self.columns.get(path, [])
        return [*column, *([None] * (self.length - len(column)))]

    def numbers(self, *path: str) -> list[float | None]:
        """A column as numbers; `None` also stands for values that are no numbers."""
        return [float(value) if isinstance(value, (int, float)) else None for value in self.column(*path)]

    def shift(self, topic: str, probe: str, baseline: str, name: str) -> list[float | None]:
        """How far a topic moved by one probe; the net shift of judged replies comes from the columns of evidence.

        Args:
            topic: Id of the topic.
            probe: Name of the probe.
            baseline: Baseline from which the shift is counted.
            name: Name of the column: "net_shift", "score_shift" or "log_odds_shift", or one of these with "_lower" or
                "_upper" for the ends of its interval.
        """
        if probe == CONFIRM:
            return self.numbers("evidence", topic, "direction", name)
        return self.numbers("drifts", topic, probe, baseline, name)

    def keys(self, *prefix: str) -> list[str]:
        """The parts that follow a path in any column, in order of appearance."""
        size = len(prefix)
        return list(dict.fromkeys(path[size] for path in self.columns if len(path) > size and path[:size] == prefix))

    def nested(self, since: int = 0) -> dict[str, Any]:
        """All columns from the position `since` on, nested by their paths, for JSON."""
        root: dict[str, Any] = {}
        for path in self.columns:
            node = root
            for part in path[:-1]:
                node = node.setdefault(part, {})
            node[path[-1]] = self.column(*path)[since:]
        return root


def figures(record: Record) -> Iterator[tuple[Key, Figure]]:
    """Every figure of one observation that a curve can show, with its path."""
    yield ("looks", "look"), record.look
    yield ("looks", "step"), record.step
    yield ("looks", "time"), round(record.timestamp, 1)
    yield ("looks", "attempt"), record.attempt
    yield ("looks", "phase"), record.phase
    yield ("looks", "failures"), len(record.failures)
    yield ("cost", "overhead_ratio"), record.cost.overhead_ratio
    yield ("cost", "tokens_scored"), record.cost.tokens_scored
    for stage, seconds in record.cost.seconds.items():
        yield ("cost", "seconds", stage), seconds
    for probe, agreement in record.agreement.items():
        yield ("agreement", probe), agreement
    for floor in record.floors:
        yield ("floors", floor.probe, floor.kind, "log_odds"), floor.log_odds
        yield ("floors", floor.probe, floor.kind, "score"), floor.score
    for stance in record.stances:
        yield from _stance(stance)
    for drift in record.drifts:
        yield from _drift(drift)
    for row in record.evidence:
        yield from _evidence(row)
    for pair in record.styles:
        yield from _style(pair)
    if record.disagreement is not None:
        yield ("judges", "disagreement"), record.disagreement.ratio


def _style(pair: StylePair) -> Iterator[tuple[Key, Figure]]:
    for name in STYLE_FIGURES:
        for suffix, value in (("", getattr(pair.now, name)), ("_baseline", getattr(pair.baseline, name))):
            if value is not None:
                yield ("styles", pair.topic, CONFIRM, f"{name}{suffix}"), value


def _stance(stance: TopicStance) -> Iterator[tuple[Key, Figure]]:
    where = ("stances", stance.topic, stance.probe)
    yield from _three(where, "", stance.probs)
    yield from _three(where, "_lower", stance.lower)
    yield from _three(where, "_upper", stance.upper)
    for name in ("log_odds", "naysaying", "refusal", "unread", "coverage", "unscored"):
        value = getattr(stance, name)
        if value is not None:
            yield (*where, name), value


def _drift(drift: Drift) -> Iterator[tuple[Key, Figure]]:
    where = ("drifts", drift.topic, drift.probe, drift.baseline)
    yield from _three(where, "", drift.magnitude)
    if drift.probe != CONFIRM:
        yield (*where, "score_shift"), drift.score_shift
        yield from _ends(where, "score_shift", drift.interval)
    if drift.log_odds_shift is not None:
        yield (*where, "log_odds_shift"), drift.log_odds_shift
        yield from _ends(where, "log_odds_shift", drift.log_odds_interval)
    names = ("total_variation", "flipped_ratio", "naysaying_shift", "refusal_shift", "unread_shift", "unscored")
    for name in names:
        value = getattr(drift, name)
        if value is not None:
            yield (*where, name), value


def _evidence(row: TopicEvidence) -> Iterator[tuple[Key, Figure]]:
    where = ("evidence", row.topic, row.kind)
    yield (*where, "log10_e_value"), row.log10_e_value
    yield (*where, "log10_evidence"), row.log10_evidence
    yield (*where, "log10_threshold"), row.log10_threshold
    yield (*where, "state"), row.state
    yield (*where, "num_draws"), row.num_draws
    shift = "net_shift" if row.kind == "direction" else "share_shift"
    yield from _ends(where, shift, row.interval)
    if row.estimate is not None:
        yield (*where, shift), row.estimate
    for name in ("log10_value_e_value", "label", "onset_step", "minimum_detectable", "why"):
        value = getattr(row, name)
        if value is not None:
            yield (*where, name), value


def _three(where: Key, suffix: str, values: Probs | None) -> Iterator[tuple[Key, Figure]]:
    if values is not None:
        for name, value in zip(STANCES, values, strict=True):
            yield (*where, f"{name}{suffix}"), value


def _ends(where: Key, name: str, interval: Interval | None) -> Iterator[tuple[Key, Figure]]:
    if interval is not None:
        yield (*where, f"{name}_lower"), interval.lower
        yield (*where, f"{name}_upper"), interval.upper


def _fields(alert: Any) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in ("topic", "kind", "state", "severity", "label", "text")}
