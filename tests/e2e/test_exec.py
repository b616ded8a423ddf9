"""The checks of a server through the real kubectl, the real API server and testinfra.

A second kwok plays the kubelet of one more node; what is executed in its pod runs on this machine,
beside the real TorchServe. What a container would add (its files, its network) is not shown.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.cluster import kinds, local
from harness.cluster.control_plane import STAGES
from harness.cluster.local import LocalCluster
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.render.objects import Value, text
from harness.smoke import expected, run, torchserve
from harness.smoke.check import Need
from harness.smoke.target import Target
from harness.smoke.torchserve import Kubectl, TorchServe
from harness.snapshot import config
from tests.launcher.conftest import archive, free_ports
from tests.smoke.conftest import Served, served

__all__ = ["archive", "served"]

NODE, POD, NAMESPACE = "exec-0", "torchserve-exec", "torchserve"
_EXEC = {
    "apiVersion": "kwok.x-k8s.io/v1alpha1",
    "kind": "ClusterExec",
    "metadata": {"name": "here"},
    "spec": {"execs": [{"local": {"workDir": "/"}}]},
}


@pytest.fixture(scope="module")
def cluster(checkout: Repository) -> Iterator[LocalCluster]:
    with local.running(checkout, "exec", with_flux=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kubelet(cluster: LocalCluster) -> Iterator[None]:
    """A node whose kubelet runs on this machine what is executed in its pods."""
    [port] = free_ports(1)
    settings, pki = cluster.folder / "exec.yaml", cluster.folder / "pki"
    settings.write_text(f"{STAGES.read_text()}\n---\n{yaml.safe_dump(_EXEC)}")
    room = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    metadata = {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}
    cluster.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    patch_node(cluster, {"capacity": room, "allocatable": room})
    argv = [
        tools.find(cluster.repository, "kwok"),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--config={settings}",
        f"--manage-single-node={NODE}",
        f"--server-address=127.0.0.1:{port}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(cluster.folder), "PATH": path}
    with (cluster.folder / "kubelet.log").open("wb") as log:
        kwok = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
    try:
        wait_until_ready(cluster)
        address = [{"type": "InternalIP", "address": "127.0.0.1"}]
        endpoint = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
        patch_node(cluster, {"addresses": address, **endpoint})
        yield
    finally:
        kwok.terminate()
        kwok.wait(30)


def patch_node(cluster: LocalCluster, status: Value) -> None:
    cluster.api.patch(kinds.NODE, NODE, {"status": status}, part="status")


def wait_until_ready(cluster: LocalCluster) -> None:
    def ready(found: list[Value]) -> bool:
        return any(
            text(node, "metadata", "name") == NODE and text(node, "status", "phase") == "Running"
            for node in found
        )

    cluster.api.until(kinds.NODE, ready, seconds=30)


@pytest.fixture(scope="module")
def server(cluster: LocalCluster, kubelet: None, served: Served) -> TorchServe:
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
                "nodeName": NODE,
                "containers": [{"name": "torchserve", "image": "none", "ports": port}],
            },
        }
    )

    def running(found: list[Value]) -> Value | None:
        return next((pod for pod in found if text(pod, "status", "phase") == "Running"), None)

    pod = cluster.api.until(kinds.POD, running, seconds=30, namespace=NAMESPACE)
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
        expect=lambda: expected.by_snapshot(config.load(served.checkout, "local", lock)),
        servers=lambda: [server],
        words={"env": "local", "kubectl": "kubectl", "at": "--env local", "folder": "."},
    )
    report = run.run(target)
    assert [f"{each.name}: {each.why}" for each in report.tests if each.outcome == "failed"] == []
    assert report.count("passed") == 7


def test_words_reach_the_pod_as_they_are(server: TorchServe) -> None:
    odd = "a 'b' \"c\" $HOME; exit 1 é"
    assert server.said("printf %%s %s", odd) == odd
    assert server.host.mount_point("/proc").filesystem == "proc"


def test_a_command_that_fails_there_is_named(server: TorchServe) -> None:
    with pytest.raises(InputError, match=rf"{POD}: `cat -- /nowhere`: exit code 1: .*No such file"):
        server.text("/nowhere")
