"""Grafana panels as plain dicts, made by one function per kind; `frame` gives them ids and places.

Every panel says what it shows, its unit, and why it may be empty. The format is the classic JSON of schema 39, which
Grafana imports from version 8.3 on; curves over steps need the Trend panel of Grafana 10.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from driftwatch.monitoring.queries import STATE_LEVELS

Panel = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRID_WIDTH = 24
STATE_COLOURS = {  # the state "ok" does not always mean that it was measured
    "ok": "#8e99a4",
    "cannot_tell": "yellow",
    "ended": "purple",
    "watch": "blue",
    "alert": "orange",
    "beyond_tolerance": "red",
}
FIXED = {"mode": "fixed", "fixedColor": "text"}


def target(expr: str, legend: str = "", *, ref: str = "A", table: bool = False, now: bool = False) -> dict[str, Any]:
    """One query of a panel.

    Args:
        expr: PromQL.
        legend: Name of the series, with labels as `{{label}}`; "" lets the panel name the series.
        ref: Letter of the query, unique in the panel.
        table: Whether labels become columns.
        now: Whether only the last value is queried.
    """
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "expr": expr,
        "legendFormat": legend or "__auto",
        "format": "table" if table else "time_series",
        "instant": now,
        "range": not now,
        "editorMode": "code",
    }


def targets(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    """Several range queries with their legends, lettered from A."""
    return [target(expr, legend, ref=chr(ord("A") + i)) for i, (expr, legend) in enumerate(pairs)]


def row(title: str) -> Panel:
    """A heading over the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": GRID_WIDTH, "h": 1}}


def text(title: str, markdown: str, description: str, *, width: int = 24, height: int = 6) -> Panel:
    """A panel of text."""
    return {
        "type": "text",
        "title": title,
        "description": description,
        "transparent": True,
        "options": {"mode": "markdown", "content": markdown},
        "gridPos": {"w": width, "h": height},
    }


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Mapping[str, Any]],
    *,
    unit: str = "short",
    empty: str,
    lines: Sequence[float] = (),
    limits: tuple[float | None, float | None] = (None, None),
    overrides: Sequence[Mapping[str, Any]] = (),
    width: int = 12,
    height: int = 8,
    stepped: bool = True,
    **extra: Any,
) -> Panel:
    """Curves over time.

    Args:
        title: Heading of the panel.
        description: What a reader cannot see from the curves.
        queries: Queries made by `target`.
        unit: Grafana's name of the unit.
        empty: What an empty panel means.
        lines: Thresholds drawn as lines, the same as in the rules.
        limits: Ends of the y-axis; `None` follows the data.
        overrides: Settings of single series.
        width: Width in grid columns, of 24.
        height: Height in grid units of 30 pixels.
        stepped: Whether to draw steps: values stay the same between observations, so a line must not suggest a slope.
        extra: Further fields of the panel, such as `repeat`.
    """
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "never",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "dashed" if lines else "off"},
    }
    panel = _panel("timeseries", title, description, queries, unit=unit, empty=empty, width=width, height=height)
    panel["fieldConfig"]["defaults"] |= {"custom": custom, "thresholds": _lines(lines), **_ends(limits)}
    panel["fieldConfig"]["overrides"] = list(overrides)
    panel["options"] = {"legend": _legend(), "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel | extra


def trend(
    title: str,
    description: str,
    step: str,
    queries: Sequence[Mapping[str, Any]],
    *,
    unit: str = "short",
    empty: str,
    lines: Sequence[float] = (),
    limits: tuple[float | None, float | None] = (None, None),
    overrides: Sequence[Mapping[str, Any]] = (),
    min_interval: str,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Curves over optimizer steps: points at the moments of observations, drawn over the series "step".

    Args:
        title: As in `timeseries`.
        description: As in `timeseries`.
        step: PromQL for the step, at moments of observations only (`queries.looked`).
        queries: Queries restricted to the same moments.
        unit: As in `timeseries`.
        empty: As in `timeseries`.
        lines: As in `timeseries`.
        limits: As in `timeseries`.
        overrides: As in `timeseries`.
        min_interval: Scrape interval; observations that fall between the same two scrapes cannot be told apart.
        width: As in `timeseries`.
        height: As in `timeseries`.
    """
    asked = [target(step, "step", ref="S"), *queries]
    panel = _panel("trend", title, description, asked, unit=unit, empty=empty, width=width, height=height)
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "showPoints": "always",
        "pointSize": 5,
        "spanNulls": True,
        "thresholdsStyle": {"mode": "dashed" if lines else "off"},
    }
    panel["fieldConfig"]["defaults"] |= {"custom": custom, "thresholds": _lines(lines), **_ends(limits)}
    panel["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": "step"}, "properties": [{"id": "unit", "value": "none"}]},
        *overrides,
    ]
    panel["options"] = {"xField": "step", "legend": _legend(), "tooltip": {"mode": "multi", "sort": "desc"}}
    panel["transformations"] = [{"id": "joinByField", "options": {"byField": "Time", "mode": "outer"}}]
    panel["interval"] = min_interval
    return panel


def stat(
    title: str,
    description: str,
    query: Mapping[str, Any],
    *,
    unit: str = "none",
    empty: str,
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),),
    mappings: Sequence[Mapping[str, Any]] = (),
    text_mode: str = "auto",
    width: int = 4,
    height: int = 4,
) -> Panel:
    """A panel that shows one big value.

    Args:
        title: Heading of the panel.
        description: What the value is.
        query: The query, usually of the last value only.
        unit: Grafana's name of the unit.
        empty: What it means that there is no value.
        steps: Colours, each with the value from which it holds; the first one holds from `None`.
        mappings: Texts to show in place of values.
        text_mode: "name" shows the series' name instead of its value.
        width: Width in grid columns, of 24.
        height: Height in grid units of 30 pixels.
    """
    panel = _panel("stat", title, description, [query], unit=unit, empty=empty, width=width, height=height)
    panel["fieldConfig"]["defaults"] |= {"thresholds": _steps(steps), "mappings": list(mappings)}
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": text_mode,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return panel


def bargauge(
    title: str,
    description: str,
    query: Mapping[str, Any],
    *,
    unit: str,
    empty: str,
    steps: Sequence[tuple[float | None, str]],
    limits: tuple[float | None, float | None] = (None, None),
    width: int = 12,
    height: int = 8,
) -> Panel:
    """A bar for the last value of each series; the arguments are those of `stat` and `timeseries`."""
    panel = _panel("bargauge", title, description, [query], unit=unit, empty=empty, width=width, height=height)
    panel["fieldConfig"]["defaults"] |= {"thresholds": _steps(steps), **_ends(limits)}
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "orientation": "horizontal",
        "displayMode": "basic",
        "showUnfilled": True,
    }
    return panel


def state_timeline(
    title: str, description: str, query: Mapping[str, Any], *, empty: str, width: int = 24, height: int = 10
) -> Panel:
    """The state of each series over time, from `queries.state_level`."""
    panel = _panel("state-timeline", title, description, [query], unit="none", empty=empty, width=width, height=height)
    options = {
        str(STATE_LEVELS[name]): {"text": name.replace("_", " "), "color": colour, "index": index}
        for index, (name, colour) in enumerate(STATE_COLOURS.items())
    }
    panel["fieldConfig"]["defaults"] |= {
        "mappings": [{"type": "value", "options": options}],
        "thresholds": _steps([(None, "text")]),
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
    }
    panel["options"] = {
        "mergeValues": True,
        "showValue": "never",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "single"},
    }
    return panel


def table(
    title: str,
    description: str,
    queries: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    empty: str,
    units: Mapping[str, str] | None = None,
    mappings: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    links: Mapping[str, str] | None = None,
    sort: str | None = None,
    width: int = 24,
    height: int = 9,
) -> Panel:
    """A table of labels and last values; rows of several queries are merged by their labels.

    Args:
        title: Heading of the panel.
        description: What the table shows.
        queries: Queries of the last values, as tables.
        columns: Heading by field, in the order of the columns; every other field is left out.
        empty: What an empty table means.
        units: Grafana's name of the unit, by heading.
        mappings: Texts to show in place of values, by heading.
        links: Address that a cell links to, by heading.
        sort: Heading to sort by, largest first.
        width: Width in grid columns, of 24.
        height: Height in grid units of 30 pixels.
    """
    panel = _panel("table", title, description, queries, unit="none", empty=empty, width=width, height=height)
    organized = {
        "renameByName": dict(columns),
        "indexByName": {name: i for i, name in enumerate(columns)},
    }
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        # This comes before the renaming of fields; otherwise a field that no query gave would still have a column.
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": organized},
    ]
    headings = [*(units or {}), *(mappings or {}), *(links or {})]
    overrides = []
    for heading in dict.fromkeys(headings):
        properties: list[dict[str, Any]] = []
        if unit := (units or {}).get(heading):
            properties.append({"id": "unit", "value": unit})
        if mapped := (mappings or {}).get(heading):
            properties.append({"id": "mappings", "value": list(mapped)})
        if url := (links or {}).get(heading):
            properties.append({"id": "links", "value": [{"title": heading, "url": url}]})
        overrides.append({"matcher": {"id": "byName", "options": heading}, "properties": properties})
    panel["fieldConfig"]["overrides"] = overrides
    panel["options"] = {"showHeader": True, "cellHeight": "sm"}
    if sort:
        panel["options"]["sortBy"] = [{"displayName": sort, "desc": True}]
    return panel


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Mapping[str, Any]],
    *,
    unit: str,
    empty: str,
    width: int,
    height: int,
) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": list(queries),
        "fieldConfig": {"defaults": {"unit": unit, "noValue": empty}, "overrides": []},
        "gridPos": {"w": width, "h": height},
    }


def _legend() -> dict[str, Any]:
    return {"showLegend": True, "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}


def _lines(values: Sequence[float]) -> dict[str, Any]:
    return _steps([(None, "transparent"), *((value, "red") for value in sorted(values))])


def _steps(steps: Sequence[tuple[float | None, str]]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _ends(limits: tuple[float | None, float | None]) -> dict[str, float]:
    return {name: value for name, value in zip(("min", "max"), limits, strict=True) if value is not None}
