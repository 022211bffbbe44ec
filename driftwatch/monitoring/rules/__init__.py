"""Recording rules and alerting rules, in the formats of Prometheus and of Grafana."""
