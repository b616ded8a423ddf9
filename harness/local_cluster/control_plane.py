"""The components of a Kubernetes control plane on loopback, and kwok, which plays the nodes.

Its settings are those of a plain cluster, but for two: pods are evicted from a lost node after 5 s
(300 s is the default), so that a test can see it, and etcd does not wait for the disk.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.local_cluster.pki import FRONT_PROXY
from harness.local_cluster.ports import Ports
from harness.local_cluster.supervisor import Component

STAGES = Path(__file__).with_name("stages.yaml")
_HOST = "127.0.0.1"
_EVICT = 5  # seconds on a lost node


def components(
    folder: Path,
    ports: Ports,
    programs: Mapping[str, Path],
    kubeconfig: Path,
    address: str = "",
) -> list[Component]:
    """etcd, API server, controller manager and scheduler.

    Args:
        folder: of the cluster; the keys are in its ``pki``.
        ports: where they listen.
        programs: the executables by name.
        kubeconfig: of the administrator.
        address: where nodes and pods find the API server, which then listens everywhere; kwok's
            play none that would ask for it.
    """
    pki, client = folder / "pki", f"--kubeconfig={kubeconfig}"
    apart = ("--leader-elect=false", "--secure-port=0", f"--bind-address={_HOST}")
    return [
        _etcd(folder, ports, programs["etcd"]),
        _apiserver(pki, ports, programs["kube-apiserver"], address),
        Component(
            name="kube-controller-manager",
            argv=(
                str(programs["kube-controller-manager"]),
                client,
                *apart,
                f"--service-account-private-key-file={pki / 'accounts.key'}",
                f"--root-ca-file={pki / 'ca.crt'}",
                "--node-monitor-period=1s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ),
            after=("kube-apiserver",),
        ),
        Component(
            name="kube-scheduler",
            argv=(str(programs["kube-scheduler"]), client, *apart),
            after=("kube-apiserver",),
        ),
    ]


def _etcd(folder: Path, ports: Ports, program: Path) -> Component:
    client, peer = f"http://{_HOST}:{ports.etcd}", f"http://{_HOST}:{ports.etcd_peer}"
    return Component(
        name="etcd",
        argv=(
            str(program),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        ready=f"{client}/health",
    )


def _apiserver(pki: Path, ports: Ports, program: Path, address: str) -> Component:
    return Component(
        name="kube-apiserver",
        argv=(
            str(program),
            f"--etcd-servers=http://{_HOST}:{ports.etcd}",
            *_addresses(address),
            f"--secure-port={ports.apiserver}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--anonymous-auth=true",  # for /readyz
            "--allow-privileged=true",  # as on EKS: admission policies are what refuses
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'accounts.key'}",
            f"--service-account-signing-key-file={pki / 'accounts.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            # Other servers may add APIs, as KEDA's adapter does: this one vouches for callers.
            f"--requestheader-client-ca-file={pki / 'ca.crt'}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki / FRONT_PROXY}.crt",
            f"--proxy-client-key-file={pki / FRONT_PROXY}.key",
            f"--default-not-ready-toleration-seconds={_EVICT}",
            f"--default-unreachable-toleration-seconds={_EVICT}",
            "--max-requests-inflight=800",
        ),
        after=("etcd",),
        ready=f"{ports.server}/readyz",
    )


def _addresses(address: str) -> tuple[str, ...]:
    if address:
        return (
            "--bind-address=0.0.0.0",
            f"--advertise-address={address}",
            "--kubelet-preferred-address-types=InternalIP",
        )
    # There is no kube-proxy, and an endpoint on loopback would be refused.
    return f"--bind-address={_HOST}", "--endpoint-reconciler-type=none"


def kwok(folder: Path, ports: Ports, program: Path, kubeconfig: Path) -> Component:
    """Return kwok, which simulates the nodes that are annotated for it, on any API server."""
    return Component(
        name="kwok",
        argv=(
            str(program),
            f"--kubeconfig={kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=40",
            f"--server-address={_HOST}:{ports.kwok}",
        ),
        env={"HOME": str(folder)},  # it reads ~/.kwok/kwok.yaml, and the user's is not ours
        after=("bootstrap",),
        ready=f"http://{_HOST}:{ports.kwok}/healthz",
    )
