"""Grafana dashboards as code: `python -m collector_config.grafana` writes dashboards/*.json. Needs Python 3.11."""
