"""Provisions a Grafana over its HTTP API.

    connection   one thin adapter around a client package: empty replies, errors
    objects      what we want there: folder, data source, dashboards, rule group, annotations
    plan         what differs; applied in the order folder, data source, dashboards, rules, annotations

Provisioning files (deploy/grafana/provisioning) are the other way. Never use both for one dashboard: Grafana refuses to
overwrite over HTTP what it provisions from files.
"""

from driftwatch.monitoring.grafana.connection import Connection, connect
from driftwatch.monitoring.grafana.error import GrafanaError
from driftwatch.monitoring.grafana.objects import Wanted
from driftwatch.monitoring.grafana.plan import Change, apply, plan, removal

__all__ = ["Change", "Connection", "GrafanaError", "Wanted", "apply", "connect", "plan", "removal"]
