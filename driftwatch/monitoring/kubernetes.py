"""Kubernetes manifests for prometheus-operator and for Grafana's dashboard side-car, to be applied with kustomize."""

import json
from collections.abc import Mapping
from typing import Any

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.rules.rules import rule_groups

# Trainers are Jobs without a Service, so their pods are scraped; users must set this label and this port name.
POD_LABEL = ("driftwatch/scrape", "true")
PORT_NAME = "driftwatch"


def prometheus_rule(config: Config) -> dict[str, Any]:
    """A PrometheusRule with the groups of the rule file."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(config, config.slug),
        "spec": rule_groups(config),
    }


def pod_monitor(config: Config) -> dict[str, Any]:
    """A PodMonitor for trainers, wherever they run in the cluster."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _metadata(config, config.slug),
        "spec": {
            "selector": {"matchLabels": dict([POD_LABEL])},
            "namespaceSelector": {"any": True},
            "podMetricsEndpoints": [
                {
                    "port": PORT_NAME,
                    "path": "/metrics",
                    "interval": config.scrape_interval,
                    # A finished pod must not be a target, since it would be down for ever.
                    "filterRunning": True,
                    "relabelings": [{"targetLabel": "job", "replacement": config.slug}],
                }
            ],
        },
    }


def service_monitor(config: Config) -> dict[str, Any]:
    """A ServiceMonitor for `driftwatch serve`."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _metadata(config, f"{config.slug}-service"),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": f"{config.slug}-service"}},
            "endpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "interval": config.scrape_interval,
                    "relabelings": [{"targetLabel": "job", "replacement": f"{config.slug}-service"}],
                }
            ],
        },
    }


def dashboard_config_map(config: Config, name: str, dashboard: Mapping[str, Any]) -> dict[str, Any]:
    """A ConfigMap for Grafana's side-car; compact, since `kubectl apply` keeps a second copy of at most 256 KiB."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{config.slug}-dashboard-{name}",
            "labels": {"grafana_dashboard": "1", "app.kubernetes.io/part-of": config.slug},
            "annotations": {"grafana_folder": config.prefix},
        },
        "data": {f"{config.slug}-{name}.json": json.dumps(dashboard, separators=(",", ":"), ensure_ascii=False)},
    }


def kustomization(files: list[str]) -> dict[str, Any]:
    """The kustomization that `kubectl apply -k` applies."""
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": files}


def _metadata(config: Config, name: str) -> dict[str, Any]:
    return {"name": name, "labels": {"release": config.release, "app.kubernetes.io/part-of": config.slug}}
