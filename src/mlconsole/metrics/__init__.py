"""Prometheus over HTTP, or the pods' own /metrics where there is no Prometheus."""
