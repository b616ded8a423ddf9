"""The Prometheus of a cluster, by port forwarding: it has no address outside.

The caller may create and get ``pods/portforward`` of that one pod, by its name
(infra/monitoring/configs/role.yaml): RBAC selects neither by label nor by port.
"""

from harness.core.errors import HarnessError
from harness.kubernetes.api import Api
from harness.loadtest.port_forward import RefusedError
from harness.prometheus import client
from harness.prometheus.client import Prometheus, PrometheusError

_WHERE = f"{client.NAMESPACE}/{client.POD}"
_SECONDS = 15.0  # for each packet; a query over the budget's window takes longest
_REFUSALS = {
    401: (
        "the cluster does not know who asks",
        "log in again: aws eks update-kubeconfig --name CLUSTER",
    ),
    403: (
        f"may not forward ports to {_WHERE}",
        "the group torchserve:smoke may (infra/monitoring/configs/role.yaml)",
    ),
    404: (
        f"the cluster has no monitoring: no pod {_WHERE}",
        "list infra/monitoring among the environment's components (docs/monitoring.md)",
    ),
}


def prometheus(cluster: Api) -> Prometheus:
    """The one that the component ``infra/monitoring`` brings. Nothing is asked yet."""

    def get(path: str) -> str:
        try:
            return cluster.forward(
                client.NAMESPACE, client.POD, client.PORT, path, seconds=_SECONDS
            )
        except RefusedError as error:
            unknown = (error.message, "kubectl -n monitoring get pods")
            message, hint = _REFUSALS.get(error.status, unknown)
            raise PrometheusError(message, hint=hint) from error
        except HarnessError as error:
            raise PrometheusError(
                f"Prometheus does not answer: {error.message}",
                hint=f"kubectl -n {client.NAMESPACE} get pods; kubectl -n {client.NAMESPACE} "
                f"logs {client.POD} -c prometheus",
            ) from error

    return Prometheus(get)
