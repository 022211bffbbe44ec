"""Rules, alerts and dashboards (the mixin), generated from the metric catalogue.

    config → queries → alerts, records → rules          Prometheus format, the truth
                │            └──────────→ grafana_rules   the same as Grafana-managed groups, on demand
                └→ panels → dashboards                    overview, run, health
                       all of them → files                everything as texts by path; `driftwatch mixin` writes them

The repository's dashboards/ and deploy/ hold what this package generates with the default settings.
"""
