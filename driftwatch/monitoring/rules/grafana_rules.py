"""Grafana rules: the same alerts as a Grafana-managed rule group, where no Prometheus evaluates rules.

Each rule names the data source by its uid, so the rules are rendered for one installation. A rule has two steps: A
queries Prometheus at one moment, and C compares. Every fact of the text is a query of its own, whose value the template
finds by its name. Load only one of the two formats; otherwise each alert is sent twice.
"""

import hashlib
import re
from typing import Any

from driftwatch.monitoring.config import Config, seconds
from driftwatch.monitoring.rules.alert import Alert, annotations
from driftwatch.monitoring.rules.records import inlined
from driftwatch.monitoring.rules.rules import all_alerts

_OWN_LABEL = re.compile(r"\w+=\$\w+,?")
_RANGE_SECONDS = 600


def rule_group(config: Config, *, folder_uid: str) -> dict[str, Any]:
    """The body of `PUT /api/v1/provisioning/folder/{folder}/rule-groups/{group}`."""
    rules = [
        _rule(alert, number, config, folder_uid)
        for number, alert in enumerate(all_alerts(config), start=1)
        if alert.severity != "off"
    ]
    # Grafana evaluates in steps of 10 s.
    interval = max(10, seconds(config.evaluation_interval) // 10 * 10)
    return {"title": config.slug, "folderUid": folder_uid, "interval": interval, "rules": rules}


def rule_file(config: Config, *, folder: str) -> dict[str, Any]:
    """The same group as a provisioning file, whose field names differ."""
    group = rule_group(config, folder_uid="")
    over_http = ("orgID", "folderUID", "ruleGroup")
    rules = [{key: value for key, value in rule.items() if key not in over_http} for rule in group["rules"]]
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": group["title"],
                "folder": folder,
                "interval": f"{group['interval']}s",
                "rules": rules,
            }
        ],
    }


def _rule(alert: Alert, number: int, config: Config, folder_uid: str) -> dict[str, Any]:
    title = f"{config.prefix}{alert.name}"
    # Only whether the expression has a result matters; its value, which may be 0 or negative, must not decide.
    asked = [_query("A", f"({inlined(alert.expr, config)}) * 0 + 1", config)]
    asked += [_query(name, _without_own_labels(inlined(f.expr, config)), config) for name, f in alert.facts.items()]
    if "<value>" in alert.summary + alert.description:
        asked.append(_query("value", inlined(alert.expr, config), config))
    return {
        "uid": hashlib.sha256(title.encode()).hexdigest()[:16],
        "orgID": 1,
        "folderUID": folder_uid,
        "ruleGroup": config.slug,
        "title": title,
        "condition": "C",
        "data": [*asked, _threshold()],
        "noDataState": "OK",  # every expression filters, so no series means that nothing fires
        "execErrState": "Error",
        "for": alert.hold,
        "annotations": annotations(alert, config, runbook_panel=number, grafana=True),
        "labels": {"severity": alert.severity},
        "isPaused": False,
    }


def _query(name: str, expr: str, config: Config) -> dict[str, Any]:
    return {
        "refId": name,
        "relativeTimeRange": {"from": _RANGE_SECONDS, "to": 0},
        "datasourceUid": config.datasource_uid,
        "model": {"refId": name, "expr": expr, "instant": True, "range": False, "editorMode": "code"},
    }


def _threshold() -> dict[str, Any]:
    return {
        "refId": "C",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": "C",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
        },
    }


def _without_own_labels(expr: str) -> str:
    """The query without the alert's own labels, since Grafana pairs the values of a rule's queries by their labels."""
    return re.sub(r",?\{\}", "", _OWN_LABEL.sub("", expr)).replace(",}", "}")
