"""frame: what all dashboards share, which is variables, links, annotations and the document around the panels."""

from collections.abc import Iterable, Sequence
from typing import Any

from driftwatch.monitoring import queries as q
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.panels import DATASOURCE, GRID_WIDTH, Panel
from driftwatch.record import metrics as m

SCHEMA_VERSION = 39  # Grafana 10.4; the page migrates upward, never downward
ONE_RUN = 'run="$run"'
RUNS = 'run=~"$run"'


def dashboard(
    config: Config,
    name: str,
    title: str,
    description: str,
    panels: Iterable[Panel],
    variables: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A whole dashboard, ready to be imported, provisioned or sent over the API."""
    return {
        "id": None,
        "uid": uid(config, name),
        "title": f"{config.prefix} / {title}",
        "description": description,
        "tags": [config.slug],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": config.prefix,
                "tags": [config.slug],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
            }
        ],
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": list(annotations)},
        "panels": placed(panels),
    }


def placed(panels: Iterable[Panel]) -> list[Panel]:
    """The panels with ids and places, filled in from left to right and top to bottom."""
    found, x, y, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > GRID_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        found.append({"id": number, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, tallest = x + width, max(tallest, height)
    return found


def uid(config: Config, name: str) -> str:
    """A stable uid, so that links, provisioning and the HTTP API mean the same dashboard."""
    return f"{config.slug}-{name}"


def run_variable(config: Config, *, several: bool) -> dict[str, Any]:
    """The variable that selects runs; it lists the newest first, since most names hold a date."""
    return _query("run", "Run", f"label_values({q.series(config, m.RUN_INFO)}, run)", several=several, descending=True)


def topic_variable(config: Config, run: str = ONE_RUN) -> dict[str, Any]:
    """The variable that selects topics; repeated panels repeat over them."""
    return _query("topic", "Topic", f"label_values({q.series(config, m.TOPIC_INFO, run)}, topic)", several=True)


def probe_variable(config: Config) -> dict[str, Any]:
    """The variable that selects the probe."""
    return _query("probe", "Probe", f"label_values({q.series(config, m.STANCE, ONE_RUN)}, probe)")


def baseline_variable(config: Config) -> dict[str, Any]:
    """The variable that selects the baseline."""
    known = q.series(config, m.TOTAL_VARIATION, ONE_RUN)
    return _query("baseline", "Baseline", f"label_values({known}, baseline)")


def alert_annotation(config: Config, run: str) -> dict[str, Any]:
    """Annotations that show firing alerts as regions."""
    expr = f'ALERTS{{{run},alertstate="firing",alertname=~"{config.prefix}.*"}}'
    return _annotation("Alerts", expr, "{{alertname}}", "{{topic}} {{kind}} {{severity}}", "red")


def phase_annotation(config: Config) -> dict[str, Any]:
    """Annotations that show the run's states as regions: where it ran, was resumed, or ended."""
    expr = f"{q.one(config, m.RUN_STATE, ONE_RUN)} == 1"
    return _annotation("Phases", expr, "{{run}}: {{state}}", "", "blue")


def resume_annotation(config: Config) -> dict[str, Any]:
    """Annotations at the moments at which the run was resumed from a checkpoint."""
    expr = f"changes({q.series(config, m.ATTEMPT, ONE_RUN)}[$__interval]) > 0"
    return _annotation("Resumes", expr, "{{run}} resumed", "", "yellow")


def _annotation(name: str, expr: str, title: str, words: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": colour,
        "expr": expr,
        "titleFormat": title,
        "textFormat": words,
        "step": "60s",
        "tagKeys": "",
        "useValueForTime": False,
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "regex": "",
    }


def _query(name: str, label: str, query: str, *, several: bool = False, descending: bool = False) -> dict[str, Any]:
    every = {"allValue": ".*"} if several else {}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"Variable-{name}"},
        "current": {},
        "refresh": 2,
        "sort": 2 if descending else 1,
        "hide": 0,
        "includeAll": several,
        "multi": several,
        "options": [],
        "regex": "",
        **every,
    }
