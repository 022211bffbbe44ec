"""The Grafana dashboards: overview, run, health and runbook."""
