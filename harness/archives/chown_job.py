"""The Job that makes the sync Job's user the owner of a store filled by root; its prerequisites.

Only root may change the owner of a file on EFS, and through the access points nobody is root. So
the file system is mounted without one, and the pod runs as uid 0, with three capabilities and no
other privilege. Its namespace allows that (``baseline``), holds nothing else, and goes with it.

Sources: "Changing file system object ownership" (``chown_restricted``) and "No root squashing" in
the EFS user guide; "Default EFS file system policy" for when a mount without an access point is
let in; the baseline of the Pod Security Standards for the capabilities.
"""

from harness.archives import job_manifest
from harness.core.errors import HarnessError, InputError
from harness.core.values import Value, items, mapping, merge
from harness.render.rendered import Environment

NAME = NAMESPACE = "model-store-adoption"
_FILE = "chown_job.yaml"
_POD_SECURITY = "pod-security.kubernetes.io"


def prerequisites(environment: Environment, file_system: str) -> list[Value]:
    """Return the namespace, its closed network, the volume and its claim."""
    namespace, policy, volume, claim, _ = job_manifest.load(_FILE)
    version = _pod_security_version(environment)
    levels = {f"{_POD_SECURITY}/{level}-version": version for level in ("enforce", "audit", "warn")}
    return [
        merge(namespace, {"metadata": {"labels": levels}}),
        policy,
        merge(volume, {"spec": {"csi": {"volumeHandle": file_system}}}),
        claim,
    ]


def job(environment: Environment, *, apply: bool) -> Value:
    """Return the Job: the serving image's own program, where the sync Job would run.

    Raises:
        HarnessError: the environment has no sync Job whose image could be taken.
        InputError: the image is not known yet.
    """
    sync = job_manifest.sync_job(environment)
    if sync is None:
        raise HarnessError(f"{environment.name} has no sync Job: nothing there would own the store")
    for field in environment.unset:
        if field.key.endswith("image.digest"):
            raise InputError(
                "the serving image's digest is UNSET, and the Job runs that image",
                at=field.location,
                hint="build and push the image first",
            )
    *_, manifest = job_manifest.load(_FILE)
    pod = mapping(sync.value, "spec", "template", "spec")
    placement = {key: pod[key] for key in ("nodeSelector", "tolerations") if key in pod}
    base = mapping(manifest, "spec", "template", "spec", "containers", 0)
    sync_container = mapping(pod, "containers", 0)
    container = {
        **base,
        **{key: sync_container[key] for key in ("image", "imagePullPolicy", "resources")},
        "args": [*items(base, "args"), *(["--apply"] if apply else [])],
    }
    spec = {**placement, "containers": [container]}
    return merge(manifest, {"spec": {"template": {"spec": spec}}})


def _pod_security_version(environment: Environment) -> str:
    """Return the version that the other namespaces are checked against: the cluster's."""
    key = f"{_POD_SECURITY}/enforce-version"
    return next(
        str(namespace.labels[key])
        for namespace in environment.of("Namespace")
        if key in namespace.labels
    )
