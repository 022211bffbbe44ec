"""all_dashboards: every dashboard by its short name."""

import re
from typing import Any

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards import frame
from driftwatch.monitoring.dashboards.health import health_dashboard
from driftwatch.monitoring.dashboards.overview import overview_dashboard
from driftwatch.monitoring.dashboards.panels import text
from driftwatch.monitoring.dashboards.run import run_dashboard
from driftwatch.monitoring.rules.rules import all_alerts
from driftwatch.monitoring.static import read

_SECTION = re.compile(r"^## ", re.MULTILINE)


def dashboards(config: Config) -> dict[str, dict[str, Any]]:
    """The dashboards overview, run and health, and the runbook, to which alerts link."""
    return {
        "overview": overview_dashboard(config),
        "run": run_dashboard(config),
        "health": health_dashboard(config),
        "runbook": runbook_dashboard(config),
    }


def runbook_dashboard(config: Config) -> dict[str, Any]:
    """The runbook as text panels, one per alert; a panel's id is the number of its alert."""
    sections = runbook(config)
    panels = [
        text(f"{config.prefix}{alert.name}", sections[alert.name], f"What to do about {config.prefix}{alert.name}.")
        for alert in all_alerts(config)
    ]
    return frame.dashboard(config, "runbook", "Runbook", "What each alert means and what to do.", panels, ())


def runbook(config: Config) -> dict[str, str]:
    """The sections of the runbook without their headings, by the alert's name without the prefix."""
    found = {}
    for section in _SECTION.split(read("runbook.md"))[1:]:
        heading, _, body = section.partition("\n")
        found[heading.strip().removeprefix("Driftwatch")] = body.strip().replace("Driftwatch", config.prefix)
    return found
