"""What runs on a real node, and its settings: containerd, kubelet, kube-proxy and kube-router."""

import json
from collections.abc import Mapping
from pathlib import Path

from harness.core import files
from harness.local_cluster.real import control_groups
from harness.local_cluster.real.network import PODS, SANDBOX, SERVICES, NodeNetwork
from harness.local_cluster.supervisor import Component

PAUSE = "localhost/pause:1"
"""The image that keeps a pod's network while its containers come and go."""

_SOCKET = "/run/containerd/containerd.sock"  # the node's own /run
_CONTAINERD = """\
version = 3
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
# A score below the one that this process has is not permitted everywhere.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{programs}"]
conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{programs}/runc"
SystemdCgroup = false
"""


def components(
    folder: Path,
    node: NodeNetwork,
    programs: Mapping[str, Path],
    kubeconfig: Path,
    images: Path,
) -> list[Component]:
    """Write the settings of a node's programs, and return how they run.

    Args:
        folder: of the node.
        node: its name and addresses.
        programs: the executables by name, all in one folder.
        kubeconfig: with which they reach the API server from the node.
        images: the folder of the images that its pods may have, in the OCI layout.
    """
    where = programs["containerd"].parent
    settings = folder / "settings"
    files.write(
        settings / "containerd.toml",
        _CONTAINERD.format(folder=folder, socket=_SOCKET, pause=PAUSE, programs=where),
    )
    files.write(folder / "cni" / "10-nodes.conflist", json.dumps(_network(folder, node)))
    files.write(settings / "resolv.conf", f"nameserver {SANDBOX}\n")
    files.write(settings / "kubelet.json", json.dumps(_kubelet(folder, node)))
    files.write(settings / "kube-proxy.json", json.dumps(_kube_proxy(node, kubeconfig)))
    load = (
        f"tar --create --directory={images} . | "
        f"{programs['ctr']} --address={_SOCKET} --namespace=k8s.io images import -"
    )
    return [
        Component(
            name="containerd",
            argv=(str(programs["containerd"]), f"--config={settings / 'containerd.toml'}"),
            env={"PATH": f"{where}:/usr/sbin:/usr/bin:/sbin:/bin"},
        ),
        Component(
            name="images",
            argv=("sh", "-ec", load),
            after=("containerd",),
            once=True,
        ),
        Component(
            name="kubelet",
            argv=(
                str(programs["kubelet"]),
                f"--config={settings / 'kubelet.json'}",
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={node.name}",
                f"--node-ip={node.address}",
                f"--root-dir={folder / 'kubelet'}",
                f"--cert-dir={folder / 'kubelet' / 'pki'}",
            ),
            after=("images",),
            ready="http://127.0.0.1:10248/healthz",
        ),
        Component(
            name="kube-proxy",
            argv=(str(programs["kube-proxy"]), f"--config={settings / 'kube-proxy.json'}"),
            after=("kubelet",),
            ready="http://127.0.0.1:10256/healthz",
        ),
        Component(
            name="kube-router",
            argv=(
                str(programs["kube-router"]),
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={node.name}",
                # Policies alone: routes are the sandbox's, Services are kube-proxy's.
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                f"--service-cluster-ip-range={SERVICES}",
            ),
            after=("kubelet",),
            ready="http://127.0.0.1:20244/healthz",
        ),
    ]


def _network(folder: Path, node: NodeNetwork) -> Mapping[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(folder / "cni" / "addresses"),
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _kubelet(folder: Path, node: NodeNetwork) -> Mapping[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Only the sandbox reaches it.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{control_groups.name_of(folder.parent, node.name)}",
        "clusterDNS": [SANDBOX],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzBindAddress": "0.0.0.0",  # noqa: S104  the sandbox's supervisor asks
        "imageGCHighThresholdPercent": 100,  # nobody could pull an image again
        "podLogsDir": str(folder / "pods"),
        "resolvConf": str(folder / "settings" / "resolv.conf"),
    }


def _kube_proxy(node: NodeNetwork, kubeconfig: Path) -> Mapping[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": PODS,
        # The machine's own settings, which are not the node's to change.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
        "hostnameOverride": node.name,
        "mode": "nftables",
    }
