"""An installation to check: the real TorchServe, in what looks to kubectl like a pod.

Real are TorchServe, its launcher, every command that runs "in the pod", and pytest around the
suite. The pod is a folder (tests/smoke/kubectl), the API server tests/support/api_server.py.
"""

import contextlib
import copy
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness import embedded_server
from harness.core.errors import Location
from harness.core.repository import Repository
from harness.embedded_server import Server
from harness.kubernetes import api
from harness.loadtest.gateway import KubernetesCluster
from harness.loadtest.target import Release
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from harness.smoke import expected
from harness.smoke.report import Report
from harness.smoke.run import FILES, run
from harness.smoke.target import Cluster, Target
from harness.smoke.torchserve import Kubectl
from harness.snapshot import config, properties
from tests.embedded_server.conftest import fill
from tests.launcher.conftest import archive
from tests.support.api_server import State, serving

__all__ = ["archive"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
POD = "torchserve-7d9c-x2x4z"
STORE = "/home/model-server/model-store"
_READY = {"type": "Ready", "status": "True", "reason": "Fine", "message": "fine"}
_ACCEPTED = {**_READY, "type": "Accepted"}
_MOUNT = (
    "127.0.0.1:/ {store} nfs4 {mode},relatime,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,hard,"
    "noresvport,proto=tcp,port=20385,timeo=600,retrans=2,sec=sys,addr=127.0.0.1 0 0\n"
)
# The header, 8080 on every address, 8081 on 127.0.0.1, as the kernel of a little machine says it.
_LISTENING = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:0
   1: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A 00000000:0
"""


def torchserve_here(folder: Path, archive: Path) -> Repository:
    """The small checkout of tests/embedded_server, with the pin of TorchServe."""
    checkout = fill(Repository(folder), archive)
    requirements = checkout.root / "apps" / "torchserve" / "image" / "requirements.txt"
    requirements.parent.mkdir(parents=True, exist_ok=True)
    requirements.write_text("torch==2.15.0 \\\ntorchserve==0.12.0 \\\n")
    return checkout


@dataclass
class Served:
    """A checkout and the TorchServe that serves its model."""

    checkout: Repository
    server: Server

    @property
    def config(self) -> dict[str, str]:
        return properties.parse((self.server.folder / "config.properties").read_text())


@pytest.fixture(scope="session")
def served(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One TorchServe for all of these tests."""
    checkout = torchserve_here(tmp_path_factory.mktemp("smoke"), archive)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATE", str(checkout.root / "gate"))
        with embedded_server.running(checkout) as running:
            yield Served(checkout, running)


@dataclass
class Installation:
    """A pod of that TorchServe, in a cluster; everything about it can be spoilt.

    Attributes:
        pod: the folder that imitates the pod.
        state: what the API server says.
        rendered: what Git says.
        gateway: status → how the gateway answers who has no token.
    """

    served: Served
    pod: Path
    state: State
    target: Target
    rendered: list[dict[str, Any]]
    gateway: dict[str, int] = field(default_factory=lambda: {"status": 401})

    def check(self, *files: str) -> Report:
        return run(self.target, files or FILES)

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the pod."""
        file = self.pod / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def redirect(self, address: str, target: str) -> None:
        """Let an address of the pod lead elsewhere."""
        path = self.pod.with_name("pod.json")
        settings = json.loads(path.read_text())
        settings["here"][address] = target
        path.write_text(json.dumps(settings))


@pytest.fixture
def installation(served: Served, tmp_path: Path) -> Iterator[Installation]:
    """An installation in which all is well."""
    snapshot = config.load(served.checkout, "local", served.checkout.built_models / "lock.yaml")
    folder = _pod(served, snapshot, tmp_path / "pod")
    state, rendered = State(), _rendered_objects(snapshot)
    answers = {"status": 401}
    with _gateway(answers) as port, serving(state, tmp_path / "kubeconfig"):
        state.add(*copy.deepcopy(rendered), *_live(port))
        state.ran = lambda pod: finish_probe(pod, [True] + [False] * 6)
        kubectl = Kubectl(_program(tmp_path, served, folder), kubeconfig=tmp_path / "kubeconfig")
        cluster = Cluster(
            api.connect(tmp_path / "kubeconfig"),
            kubectl,
            KubernetesCluster(lambda _: None, tmp_path / "kubeconfig"),
            lambda: _environment(rendered),
        )
        target = Target(
            env="staging",
            name="staging",
            repository=served.checkout,
            lacks={},
            release=Release(commit=COMMIT, digest="d" * 64, helm="version=3", pods="7d9c+0"),
            expect=lambda: expected.by_render(cluster.rendered()),
            servers=cluster.servers,
            words={"env": "staging", "kubectl": str(kubectl), "at": "--env staging"},
            cluster=cluster,
        )
        yield Installation(served, folder, state, target, rendered, answers)


def _pod(served: Served, snapshot: config.ConfigSnapshot, folder: Path) -> Path:
    """The files that a pod has."""
    for name in ("etc", "proc/net", "bin"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(served.checkout.built_models / "model-store", folder / "store")
    (folder / "etc" / "config.properties").write_text(snapshot.config_properties())
    (folder / "proc" / "mounts").write_text(_MOUNT.format(store=STORE, mode="ro"))
    (folder / "proc" / "net" / "tcp").write_text(_LISTENING.splitlines()[0] + "\n")
    (folder / "proc" / "net" / "tcp6").write_text(_LISTENING)
    (folder / "bin" / "python").symlink_to(sys.executable)
    smi = folder / "bin" / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A10G (UUID: GPU-0f3a)'\n")
    smi.chmod(0o755)
    return folder


def _program(tmp_path: Path, served: Served, pod: Path) -> Path:
    """The stand-in for kubectl, told where the pod is."""
    program = tmp_path / "kubectl"
    shutil.copy(Path(__file__).with_name("kubectl"), program)
    ports = {
        "http://127.0.0.1:8080": served.config["inference_address"],
        "http://127.0.0.1:8081": served.config["management_address"],
        "http://127.0.0.1:8090": served.server.launcher_url,
    }
    paths = {
        "/etc/torchserve/": f"{pod}/etc/",
        f"{STORE}/": f"{pod}/store/",
        "/proc/net/": f"{pod}/proc/net/",
        "/proc/mounts": f"{pod}/proc/mounts",
    }
    settings = {"pods": [POD], "bin": str(pod / "bin"), "here": ports | paths}
    program.with_name("pod.json").write_text(json.dumps(settings))
    return program


def _environment(rendered: list[dict[str, Any]]) -> Environment:
    owner = Owner("HelmRelease", "flux-system", "torchserve")
    objects = (Object(each, owner, lambda *_: Location(Path("made.yaml"))) for each in rendered)
    return Environment("staging", "candidate", tuple(objects))


def _object(kind: str, version: str, name: str, **rest: Any) -> dict[str, Any]:
    labels = rest.pop("labels", {})
    where = {"namespace": rest.pop("namespace", "torchserve")}
    metadata = {"name": name, "labels": labels, "generation": 1, **where}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _rendered_objects(snapshot: config.ConfigSnapshot) -> list[dict[str, Any]]:
    """What Git says, as far as the suite looks."""
    files = [file.entry() for file in snapshot.model_files]
    carried = {
        "torchserve/config.properties": snapshot.config_properties(),
        "torchserve/model-files.json": json.dumps(files),
    }
    container = {
        "name": "torchserve",
        "image": "registry.example.com/torchserve@sha256:" + "0" * 64,
        "ports": [{"name": "launcher", "containerPort": 8090}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    template = {"metadata": {"annotations": carried}, "spec": {"containers": [container]}}
    csi = {
        "driver": "efs.csi.aws.com",
        "volumeHandle": "efs:fs-0123456789abcdef0::fsap-0123456789abcdef0",
        "volumeAttributes": {"encryptInTransit": "true"},
    }
    route = {
        "hostnames": ["torchserve.example.com"],
        "parentRefs": [{"name": "torchserve", "namespace": "envoy-gateway-system"}],
    }
    return [
        _object("Deployment", "apps/v1", "torchserve", spec={"template": template}),
        _object("PersistentVolume", "v1", "torchserve-model-store", spec={"csi": csi}),
        _object(
            "HTTPRoute",
            "gateway.networking.k8s.io/v1",
            "torchserve",
            spec=route,
            status={"parents": [{"conditions": [dict(_ACCEPTED)]}]},
        ),
    ]


def _live(gateway: int) -> list[dict[str, Any]]:
    """What the cluster adds to it."""
    flux = {"namespace": "flux-system", "status": {"observedGeneration": 1, "conditions": [_READY]}}
    gpu_node = {"allocatable": {"nvidia.com/gpu": "1"}, "conditions": [_READY]}
    listeners = [{"name": "http", "protocol": "HTTP", "port": gateway}]
    volume = {"name": "model-store", "persistentVolumeClaim": {"claimName": "model-store"}}
    labels = {"app.kubernetes.io/name": "torchserve", "app.kubernetes.io/component": "server"}
    counts = dict.fromkeys(("desiredNumberScheduled", "numberReady", "updatedNumberScheduled"), 1)
    pod = _object("Pod", "v1", POD, labels=labels)
    pod["spec"] = {
        "containers": [
            {
                "name": "torchserve",
                "image": "registry.example.com/torchserve@sha256:" + "0" * 64,
                "ports": [{"name": "launcher", "containerPort": 8090}],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }
        ],
        "volumes": [volume],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    pod["status"] = {"phase": "Running", "podIP": "10.0.7.7", "conditions": [_READY]}
    kustomize, helm = "kustomize.toolkit.fluxcd.io/v1", "helm.toolkit.fluxcd.io/v2"
    return [
        pod,
        _object("Kustomization", kustomize, "torchserve", **copy.deepcopy(flux)),
        _object("HelmRelease", helm, "torchserve", **copy.deepcopy(flux)),
        _object("Node", "v1", "gpu-0", labels={"nvidia.com/gpu.present": "true"}, status=gpu_node),
        _object(
            "DaemonSet", "apps/v1", "nvidia-device-plugin", namespace="nvidia", status=counts,
            labels={"app.kubernetes.io/name": "nvidia-device-plugin"},
        ),
        _object("PersistentVolumeClaim", "v1", "model-store",
               spec={"volumeName": "torchserve-model-store"}),
        _object("PodDisruptionBudget", "policy/v1", "torchserve", status={"disruptionsAllowed": 1}),
        _object("Gateway", "gateway.networking.k8s.io/v1", "torchserve",
               namespace="envoy-gateway-system", spec={"listeners": listeners},
               status={"addresses": [{"type": "IPAddress", "value": "127.0.0.1"}]}),
    ]  # fmt: skip


def finish_probe(pod: dict[str, Any], reached: list[bool]) -> None:
    """The neighbour's pod has run. Reached: DNS, then the ports in the order of the suite."""
    ended = {"terminated": {"exitCode": 0, "message": json.dumps(reached)}}
    pod["status"] = {"phase": "Succeeded", "containerStatuses": [{"state": ended}]}


@contextlib.contextmanager
def _gateway(answers: dict[str, int]) -> Iterator[int]:
    """A gateway that answers every request with one status; on this port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answers["status"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield listener.server_port
        listener.shutdown()
