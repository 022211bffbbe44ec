"""Wanted: every object that should be in a Grafana, in the form that its API takes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.dashboards.all_dashboards import dashboards
from driftwatch.monitoring.rules.grafana_rules import rule_group
from driftwatch.record.record import Record
from driftwatch.store.run_store import Event, RunStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """The objects that should be in Grafana.

    Attributes:
        config: Settings of the dashboards and rules.
        datasource_url: Address of Prometheus as Grafana reaches it; `None` leaves data sources alone.
        rules: Whether Grafana evaluates the alerts; `False` where a Prometheus evaluates them.
        runs: Runs whose phases and alerts become annotations.
    """

    config: Config = field(default_factory=Config)
    datasource_url: str | None = None
    rules: bool = False
    runs: tuple[RunStore, ...] = ()

    @property
    def folder_uid(self) -> str:
        """The uid of the folder that holds all objects."""
        return self.config.slug

    @property
    def folder(self) -> dict[str, Any]:
        """The folder as an API object."""
        return {"uid": self.folder_uid, "title": self.config.prefix}

    @property
    def datasource(self) -> dict[str, Any] | None:
        """The Prometheus data source; `None` if `datasource_url` is not given."""
        if self.datasource_url is None:
            return None
        return {
            "uid": self.config.datasource_uid,
            "name": f"{self.config.prefix} Prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": self.datasource_url,
            "jsonData": {"httpMethod": "POST", "timeInterval": self.config.scrape_interval},
        }

    @property
    def dashboards(self) -> list[dict[str, Any]]:
        """The dashboards as API objects."""
        return list(dashboards(self.config).values())

    @property
    def group(self) -> dict[str, Any] | None:
        """The rule group; `None` if Grafana does not evaluate the alerts."""
        return rule_group(self.config, folder_uid=self.folder_uid) if self.rules else None

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Annotations for the phases and alerts of the runs, each with a tag of its own by which it is found again."""
        for store in self.runs:
            info = store.info()
            for event in store.events():
                if event.kind in ("begin", "end"):
                    yield self._annotation(info.run, event.timestamp, f"{event.kind}/{event.attempt}", _told(event))
            seen: set[tuple[str, str, str]] = set()
            for record in store.records(superseded=True):
                yield from self._alerts(info.run, record, seen)

    def _alerts(self, run: str, record: Record, seen: set[tuple[str, str, str]]) -> Iterator[dict[str, Any]]:
        for alert in record.alerts:
            key = (alert.topic, alert.kind, alert.label)
            if key not in seen:
                seen.add(key)
                yield self._annotation(run, record.timestamp, "/".join(key), alert.text, f"severity:{alert.severity}")

    def _annotation(self, run: str, timestamp: float, what: str, text: str, *tags: str) -> dict[str, Any]:
        key = hashlib.sha256(f"{run}/{what}".encode()).hexdigest()[:12]
        return {
            "dashboardUID": f"{self.config.slug}-run",
            "time": round(timestamp * 1000),
            "tags": [self.config.slug, f"run:{run}", *tags, f"id:{key}"],
            "text": text,
        }


def _told(event: Event) -> str:
    if event.kind == "end":
        return f"ended at step {event.step}: {event.text}"
    return f"begun at step {event.step}" if event.attempt == 0 else f"resumed from step {event.step}"
