"""Rules, alerts and dashboards as one generated thing, made from the metric catalogue.

    config → queries → alerts, records → rules          Prometheus format, the truth
                │            └──────────→ grafana_rules   the same as Grafana-managed groups, on demand
                └→ panels → dashboards                    overview, run, health
                       all of them → files                everything as texts by path; `driftwatch mixin` writes them

What is under dashboards/ and deploy/ of the repository comes from here with the settings left alone.
"""
