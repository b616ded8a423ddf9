"""Pods find a node: requests, quotas, zones, replicas."""
