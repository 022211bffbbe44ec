"""The configuration files that Prometheus and Alertmanager get."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from driftwatch.monitoring.config import Config, Thresholds
from driftwatch.monitoring.files import rules_text, runbook_text
from driftwatch.monitoring.rules.yaml_text import to_yaml

INTERVAL = "5s"  # short, as somebody is watching the screen; Alertmanager waits as long
# A run that the user names may have ended long ago, and its alerts are what the user wants to see.
FOREVER = 10 * 365 * 24 * 3600.0
PUSHED = "driftwatch-pushgateway"  # the job whose pushed labels are kept
_NOTE = "Written by `driftwatch stack up`."


def local_config(folder: str, thresholds: Thresholds | None = None) -> Config:
    """Settings of the rules on one machine: the runbook is a file in the folder, and ended runs are included."""
    return Config(
        scrape_interval=INTERVAL,
        evaluation_interval=INTERVAL,
        runbook_url=f"file://{folder}/runbook.md",
        thresholds=thresholds or replace(Thresholds(), ended_seconds=FOREVER),
    )


def files(
    config: Config, *, targets: Mapping[str, Sequence[str]], alertmanager: str, webhook: str | None
) -> dict[str, str]:
    """The texts of the configuration files by file name.

    Args:
        config: Settings of the rules.
        targets: The addresses HOST:PORT to scrape, by job.
        alertmanager: HOST:PORT of Alertmanager.
        webhook: Address that notifications go to; `None` sends none.
    """
    return {
        "prometheus.yml": to_yaml(_prometheus(config, targets, alertmanager), comment=_NOTE),
        "alertmanager.yml": to_yaml(_alertmanager(webhook), comment=_NOTE),
        "rules.yml": rules_text(config),
        "runbook.md": runbook_text(config),
    }


def _prometheus(config: Config, targets: Mapping[str, Sequence[str]], alertmanager: str) -> dict[str, Any]:
    return {
        "global": {
            "scrape_interval": config.scrape_interval,
            "scrape_timeout": config.scrape_interval,
            "evaluation_interval": config.evaluation_interval,
        },
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "honor_labels": job == PUSHED, "static_configs": [{"targets": list(found)}]}
            for job, found in targets.items()
            if found
        ],
    }


def _alertmanager(webhook: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {"name": "told"}
    if webhook is not None:
        told["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    return {
        "route": {
            "receiver": "told",
            "group_by": ["alertname", "run"],
            "group_wait": "1s",
            "group_interval": INTERVAL,
            "repeat_interval": "24h",
        },
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["run", "topic", "kind"],
            }
        ],
        "receivers": [told],
    }
