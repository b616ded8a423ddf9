"""The checks of a server through the real kubectl, the real API server and testinfra.

What is executed in the pod runs on this machine, beside the real TorchServe: tests/e2e/kubelet.py.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness import tools
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.values import Value, text
from harness.kubernetes import kinds
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from harness.smoke import expected, run, torchserve
from harness.smoke.check import Need
from harness.smoke.target import Target
from harness.smoke.torchserve import Kubectl, TorchServe
from harness.snapshot import config
from tests.e2e import kubelet
from tests.launcher.conftest import archive
from tests.smoke.conftest import Served, served

__all__ = ["archive", "served"]

POD, NAMESPACE = "torchserve-exec", "torchserve"


@pytest.fixture(scope="module")
def cluster(checkout: Repository) -> Iterator[LocalCluster]:
    with local.running(checkout, "exec", with_flux=False) as cluster, kubelet.running(cluster):
        yield cluster


@pytest.fixture(scope="module")
def server(cluster: LocalCluster, served: Served) -> TorchServe:
    """The server that a pod of that node holds, as far as kubectl can tell."""
    for name, kind in ((NAMESPACE, "Namespace"), ("default", "ServiceAccount")):
        metadata = {"name": name} | ({"namespace": NAMESPACE} if kind != "Namespace" else {})
        cluster.api.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    port = [{"name": "launcher", "containerPort": 8090}]
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": NAMESPACE},
            "spec": {
                "nodeName": kubelet.NODE,
                "containers": [{"name": "torchserve", "image": "none", "ports": port}],
            },
        }
    )

    def running(pods: list[Value]) -> Value | None:
        return next((pod for pod in pods if text(pod, "status", "phase") == "Running"), None)

    pod = cluster.api.wait_for(kinds.POD, running, seconds=30, namespace=NAMESPACE)
    kubectl = Kubectl(tools.find(cluster.repository, "kubectl"), kubeconfig=cluster.kubeconfig)
    folder = served.server.folder
    return replace(
        torchserve.in_pod(kubectl, pod),
        config_file=str(folder / "config.properties"),
        files_file=str(folder / "model-files.json"),
        launcher=served.server.launcher_url,
    )


def test_the_checks_of_a_server_pass(server: TorchServe, served: Served) -> None:
    lock = served.checkout.built_models / "lock.yaml"
    target = Target(
        env="local",
        name="exec",
        repository=served.checkout,
        lacks={need: "not here" for need in Need if need is not Need.SERVER},
        release=None,
        expect=lambda: {
            server.group: expected.by_snapshot(config.load(served.checkout, "local", lock=lock))
        },
        servers=lambda: [server],
        words={"env": "local", "kubectl": "kubectl", "at": "--env local", "folder": "."},
    )
    report = run.run(target)
    assert [f"{each.name}: {each.why}" for each in report.tests if each.outcome == "failed"] == []
    assert report.count("passed") == 7


def test_words_reach_the_pod_as_they_are(server: TorchServe) -> None:
    odd = "a 'b' \"c\" $HOME; exit 1 é"
    assert server.output_of("printf %%s %s", odd) == odd
    assert server.host.mount_point("/proc").filesystem == "proc"


def test_a_command_that_fails_there_is_named(server: TorchServe) -> None:
    with pytest.raises(InputError, match=rf"{POD}: `cat -- /nowhere`: exit code 1: .*No such file"):
        server.text("/nowhere")
