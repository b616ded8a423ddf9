"""Flux's controllers as processes, and the two objects that a cluster's sync begins with.

The controllers run with the settings of clusters/staging/flux-system, but for how often an
object checks what it depends on: every 250 ms instead of 5 s, since a person is waiting.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.kubernetes import kinds
from harness.local_cluster.ports import Ports
from harness.local_cluster.supervisor import Component
from harness.render import artifact

_HOST = "127.0.0.1"
_CONTROLLERS = ("source-controller", "kustomize-controller", "helm-controller")
_REQUEUE = "--requeue-dependency=250ms"
_OWN_NAMESPACE = "--no-cross-namespace-refs=true"
_SETTINGS: dict[str, tuple[str, ...]] = {
    "source-controller": (_REQUEUE,),
    "kustomize-controller": (
        _REQUEUE,
        _OWN_NAMESPACE,
        "--no-remote-bases=true",
        "--feature-gates=CancelHealthCheckOnNewRevision=true",
    ),
    "helm-controller": (_REQUEUE, _OWN_NAMESPACE, "--graceful-shutdown-timeout=3s"),
}


def components(
    folder: Path, ports: Ports, programs: Mapping[str, Path], kubeconfig: Path
) -> list[Component]:
    """source-, kustomize- and helm-controller, once the ``bootstrap`` component has ended."""
    storage = f"{_HOST}:{ports.source}"
    extra_arguments = {
        "source-controller": (
            f"--storage-path={folder / 'artifacts'}",
            f"--storage-addr={storage}",
            f"--storage-adv-addr={storage}",
        )
    }
    (folder / "artifacts").mkdir(exist_ok=True)
    controllers = []
    for name, health, metrics in zip(_CONTROLLERS, ports.health, ports.metrics, strict=True):
        argv = (
            str(programs[name]),
            f"--metrics-addr={_HOST}:{metrics}",
            f"--health-addr={_HOST}:{health}",
            "--log-encoding=json",
            *_SETTINGS[name],
            *extra_arguments.get(name, ()),
        )
        controllers.append(
            Component(
                name=name,
                argv=argv,
                env={
                    "KUBECONFIG": str(kubeconfig),
                    "RUNTIME_NAMESPACE": kinds.FLUX_NAMESPACE,
                    "HOME": str(folder),
                    "TMPDIR": str(folder / "tmp"),
                },
                after=("bootstrap",),
                ready=f"http://{_HOST}:{health}/readyz",
            )
        )
    return controllers


def root(url: str, env: str, *, interval: str = "1m") -> list[dict[str, object]]:
    """The root GitRepository and Kustomization, as FluxInstance's ``sync`` makes them.

    Args:
        url: of the repository.
        env: the folder under clusters/.
        interval: how often Flux fetches by itself.
    """
    metadata = {"name": kinds.ROOT, "namespace": kinds.FLUX_NAMESPACE}
    return [
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": metadata,
            "spec": {
                "interval": interval,
                "url": url,
                "ref": {"branch": "main"},
                "sparseCheckout": [*artifact.FOLDERS],
            },
        },
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": metadata,
            "spec": {
                "interval": interval,
                "path": f"./clusters/{env}",
                "prune": True,
                "sourceRef": {"kind": "GitRepository", "name": kinds.ROOT},
                "decryption": {"provider": "sops"},
            },
        },
    ]
