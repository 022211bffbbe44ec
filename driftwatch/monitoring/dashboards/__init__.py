"""The Grafana dashboards: overview, run, health."""
