"""The model store: mounted as it has to be, with the archives that Git pins."""

from collections.abc import Mapping

from harness.core.errors import InputError
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.smoke.check import Need, check
from harness.smoke.expected import Expected
from harness.smoke.target import Cluster
from harness.smoke.torchserve import TorchServe

# The EFS driver's own end of the tunnel. It would be there without TLS too; an access point,
# which the volume has to name, cannot be mounted without.
_TUNNEL = "127.0.0.1:"


@check(Need.EFS, then="{kubectl} -n kube-system logs -l app=efs-csi-node -c efs-plugin --tail 50")
def test_the_store_is_mounted_read_only_and_over_tls(
    cluster: Cluster, servers: list[TorchServe]
) -> None:
    for pod in cluster.pods():
        name = text(pod, "metadata", "name")
        volume = _volume(cluster, pod)
        handle = text(volume, "spec", "csi", "volumeHandle")
        assert "fsap-" in handle, f"{name}: {handle} names no access point, so TLS is not certain"
        encrypted = text(volume, "spec", "csi", "volumeAttributes", "encryptInTransit")
        assert encrypted.lower() != "false", f"{name}: its volume says encryptInTransit: false"
    for server in servers:
        store = server.config["model_store"]
        mount = server.host.mount_point(store)
        assert mount.exists, f"{server.name}: nothing is mounted at {store}"
        assert mount.filesystem == "nfs4", f"{server.name}: {store} is {mount.filesystem}"
        assert "ro" in mount.options, f"{server.name}: {store} can be written"
        through = f"{server.name}: {store} is mounted from {mount.device}, not through the driver"
        assert mount.device.startswith(_TUNNEL), through


# Helm upgrades again, so the sync Job runs again. What kubectl writes in its own name Flux undoes.
_SYNC_AGAIN = (
    "{kubectl} -n flux-system annotate helmrelease {group} --overwrite --field-manager=flux "
    "reconcile.fluxcd.io/requestedAt=$(date +%s) reconcile.fluxcd.io/forceAt=$(date +%s)"
)


@check(Need.SERVER, then=_SYNC_AGAIN, embedded="harness models verify")
def test_the_archives_have_their_checksums(
    expect: Mapping[str, Expected], servers: list[TorchServe]
) -> None:
    for server in servers:
        for file in expect[server.group].files:
            archive = server.host.file(f"{server.config['model_store']}/{file.name}")
            assert archive.exists, f"{server.name}: {file.name} not found"
            sha256 = archive.sha256sum
            wrong = f"{server.name}: {file.name} has sha256 {sha256}, not {file.sha256}"
            assert sha256 == file.sha256, wrong


def _volume(cluster: Cluster, pod: Value) -> Value:
    """The volume behind the claim of a server's model store."""
    for volume in items(pod, "spec", "volumes"):
        if text(volume, "name") == "model-store":
            claim = cluster.api.get(
                kinds.PERSISTENT_VOLUME_CLAIM,
                text(volume, "persistentVolumeClaim", "claimName"),
                text(pod, "metadata", "namespace"),
            )
            persistent_volume = cluster.api.get(
                kinds.PERSISTENT_VOLUME, text(claim, "spec", "volumeName")
            )
            if persistent_volume:
                return persistent_volume
    raise InputError(f"{dig(pod, 'metadata', 'name')} has no volume for its model store")
