"""Dashboards as values: what they show and which PromQL fills them. Only `drawing` knows Grafana's own types."""
