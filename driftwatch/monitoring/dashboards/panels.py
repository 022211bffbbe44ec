"""Grafana panels as plain dicts, one function a kind; `frame` gives them ids and places.

Every panel says what it shows, its unit, and why it may be empty. Classic JSON of schema 39, which Grafana from 8.3 on
imports; curves over steps need the Trend panel of Grafana 10.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from driftwatch.monitoring.queries import STATE_LEVELS

Panel = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRID_WIDTH = 24
STATE_COLOURS = {  # "ok" is not always measured
    "ok": "#8e99a4",
    "cannot_tell": "yellow",
    "ended": "purple",
    "watch": "blue",
    "alert": "orange",
    "beyond_tolerance": "red",
}
FIXED = {"mode": "fixed", "fixedColor": "text"}


def target(expr: str, legend: str = "", *, ref: str = "A", table: bool = False, now: bool = False) -> dict[str, Any]:
    """One query.

    Args:
        expr: PromQL.
        legend: As `{{label}}`; "" lets the panel name the series.
        ref: Letter, unique in the panel.
        table: Labels become columns.
        now: Only the last value.
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
    """Words."""
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
        title: Of the panel.
        description: What a reader cannot see from the curves.
        queries: From `target`.
        unit: Grafana's name of the unit.
        empty: What an empty panel means.
        lines: Thresholds drawn as lines, the same as in the rules.
        limits: Ends of the y-axis; `None` follows the data.
        overrides: Settings of single series.
        width: Of 24.
        height: In grid units of 30 pixels.
        stepped: Values stay between observations, so the line must not suggest a slope.
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
    """Curves over optimizer steps: points at the moments of observations, joined by time, drawn over the series "step".

    Args:
        title: As in `timeseries`, like all that follow.
        description: See there.
        step: PromQL for the step, at moments of observations only (`queries.looked`).
        queries: Restricted to the same moments.
        unit: See there.
        empty: See there.
        lines: See there.
        limits: See there.
        overrides: See there.
        min_interval: Scrape interval; between two scrapes no observation can be told from the one before.
        width: See there.
        height: See there.
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
    """One big value.

    Args:
        title: Of the panel.
        description: What it is.
        query: Usually of the last value only.
        unit: Grafana's name of the unit.
        empty: What no value means.
        steps: Colours from a value upward; the first one from `None`.
        mappings: Texts for values.
        text_mode: "name" shows the series' name instead of its value.
        width: Of 24.
        height: In grid units.
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
    """A bar for each series, of its last value; arguments as in `stat` and `timeseries`."""
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
    """Labels and last values as rows, merged over the queries by their labels.

    Args:
        title: Of the panel.
        description: What it is.
        queries: Of the last values, as tables.
        columns: Field to heading, in their order; every other field is left out.
        empty: What an empty table means.
        units: By heading.
        mappings: By heading.
        links: By heading: where a cell leads.
        sort: Heading to sort by, largest first.
        width: Of 24.
        height: In grid units.
    """
    panel = _panel("table", title, description, queries, unit="none", empty=empty, width=width, height=height)
    organized = {
        "renameByName": dict(columns),
        "indexByName": {name: i for i, name in enumerate(columns)},
    }
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        # Before the fields are renamed: a field that no query gave would otherwise still have a column.
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
