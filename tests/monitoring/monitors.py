"""The PodMonitors as scrape configurations: what the operator makes of an endpoint, by hand.

For one address without service discovery; only the relabeling of what was scraped is taken over.
"""

from pathlib import Path

import yaml

from harness.core.values import Value, dig, items, mapping, text

ROOT = Path(__file__).parents[2]
MONITORS = ROOT / "infra/monitoring/configs/podmonitor.yaml"
_NAMES = {"sourceLabels": "source_labels", "targetLabel": "target_label"}


def monitor(name: str) -> Value:
    """A PodMonitor by its name."""
    documents = yaml.safe_load_all(MONITORS.read_text())
    return mapping(next(each for each in documents if text(each, "metadata", "name") == name))


def scraping(name: str, address: str, path: str = "", **labels: str) -> Value:
    """A job for one address that a PodMonitor would find in a pod.

    Args:
        name: the PodMonitor's.
        address: host and port.
        path: instead of the PodMonitor's.
        labels: what service discovery would know of the pod.
    """
    endpoint = mapping(dig(monitor(name), "spec", "podMetricsEndpoints", 0))
    return {
        "job_name": f"monitoring/{name}",
        "metrics_path": path or text(endpoint, "path") or "/metrics",
        "static_configs": [{"targets": [address], "labels": labels}],
        "metric_relabel_configs": [
            {_NAMES.get(key, key): value for key, value in mapping(each).items()}
            for each in items(endpoint, "metricRelabelings")
        ],
    }
