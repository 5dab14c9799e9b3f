"""Kubernetes: connection, lists and watches, discovery of model services, access reviews, proxies, writes."""
