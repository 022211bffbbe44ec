"""The rule file in Prometheus format, which counts as the original; other formats are made from the same alerts."""

import re
from dataclasses import replace
from typing import Any

from driftwatch.errors import ConfigError
from driftwatch.monitoring.config import SEVERITIES, Config
from driftwatch.monitoring.rules.alert import Alert, annotations
from driftwatch.monitoring.rules.health_alerts import life_alerts, validity_alerts, watching_alerts
from driftwatch.monitoring.rules.records import recordings
from driftwatch.monitoring.rules.value_alerts import ended_alerts, style_alerts, value_alerts

LINE = 110  # characters; a longer expression is laid out over several lines
# Matches texts in quotes, which stay whole, and the spaces before operators.
_BREAKS = re.compile(r'("(?:[^"\\]|\\.)*"| (?=(?:and|or|unless) |\* on ))')


def all_alerts(config: Config) -> list[Alert]:
    """Every alert, in the order of the runbook, with the severities of the config; those that are off are kept.

    Raises:
        ConfigError: A severity is set for an alert that does not exist, or it is not a severity.
    """
    found = [
        *value_alerts(config),
        *ended_alerts(config),
        *style_alerts(config),
        *validity_alerts(config),
        *watching_alerts(config),
        *life_alerts(config),
    ]
    names = [alert.name for alert in found]
    for name, severity in config.severities.items():
        if name not in names:
            raise ConfigError(f"there is no alert {name!r}; alerts: {', '.join(names)}.")
        if severity not in SEVERITIES:
            raise ConfigError(f"the severity of {name} is one of {', '.join(SEVERITIES)}; found {severity!r}.")
    return [replace(alert, severity=config.severities.get(alert.name, alert.severity)) for alert in found]


def rule_groups(config: Config) -> dict[str, Any]:
    """The content of a rule file: one group, so that recordings are evaluated before the alerts that read them."""
    records = [{"record": found.record, "expr": laid_out(found.expr)} for found in recordings(config)]
    alerts = [
        {
            "alert": f"{config.prefix}{alert.name}",
            "expr": laid_out(alert.expr),
            "for": alert.hold,
            "labels": {"severity": alert.severity},
            "annotations": annotations(alert, config, runbook_panel=number),
        }
        for number, alert in enumerate(all_alerts(config), start=1)
        if alert.severity != "off"
    ]
    return {"groups": [{"name": config.slug, "interval": config.evaluation_interval, "rules": [*records, *alerts]}]}


def laid_out(expr: str) -> str:
    """A long expression over several lines, one per operand of a set operation or join, with deeper ones indented."""
    if len(expr) < LINE:
        return expr
    depth, lines = 0, [""]
    for part in _BREAKS.split(expr):
        if part == " ":
            lines.append("  " * depth)
            continue
        lines[-1] += part
        if not part.startswith('"'):
            depth += part.count("(") - part.count(")")
    return "\n".join(lines)
