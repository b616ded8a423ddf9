"""The Job that gives a store filled by root to the sync Job's user, and all that it stands in.

Only root may change the owner of a file on EFS, and through the access points nobody is root. So
the file system is mounted without one, and the pod runs as uid 0, with three capabilities and no
other privilege. Its namespace allows that (``baseline``), holds nothing else and goes with it.

Sources: "Changing file system object ownership" (``chown_restricted``) and "No root squashing" in
the EFS user guide; "Default EFS file system policy" for when a mount without an access point is
let in; the baseline of the Pod Security Standards for the capabilities.
"""

from harness.core.errors import HarnessError, InputError
from harness.core.values import Value, mapping
from harness.render.rendered import Environment

NAME = NAMESPACE = "model-store-adoption"
_SYNC = "torchserve-model-sync"
_DEADLINE = 900  # seconds: most of it for the mount; a thousand files take one
_AFTERWARDS = 600  # seconds until Kubernetes removes the Job, should nobody be left to do it
_PSS = "pod-security.kubernetes.io"
_META = {"name": NAME, "namespace": NAMESPACE}


def around(environment: Environment, file_system: str) -> list[Value]:
    """The namespace, its closed network, the volume and its claim."""
    levels = ("enforce", "audit", "warn")
    version = _pod_security_version(environment)
    labels = {f"{_PSS}/{level}": "baseline" for level in levels}
    labels |= {f"{_PSS}/{level}-version": version for level in levels}
    size = {"storage": "5Gi"}  # EFS grows by itself; the field may not be empty
    common = {"storageClassName": "efs-static", "accessModes": ["ReadWriteMany"]}
    return [
        _object("v1", "Namespace", {"name": NAMESPACE, "labels": labels}),
        _object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            _META,
            {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        ),
        _object(
            "v1",
            "PersistentVolume",
            {"name": NAME},
            {
                **common,
                "capacity": size,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": _META,
                "csi": {
                    "driver": "efs.csi.aws.com",
                    # As every driver takes it: before 3.0 none knew the prefix `efs:`, and the
                    # cluster may be somebody else's.
                    "volumeHandle": file_system,
                    "volumeAttributes": {"encryptInTransit": "true"},
                },
            },
        ),
        _object(
            "v1",
            "PersistentVolumeClaim",
            _META,
            {**common, "volumeName": NAME, "resources": {"requests": size}},
        ),
    ]


def job(environment: Environment, *, apply: bool) -> Value:
    """The Job: the serving image's own program, where the sync Job would run.

    Raises:
        HarnessError: the environment has no sync Job whose image could be taken.
        InputError: the image is not known yet.
    """
    sync = environment.find("Job", _SYNC)
    if sync is None:
        raise HarnessError(f"{environment.name} has no sync Job: nothing there would own the store")
    for each in environment.unfilled:
        if each.key.endswith("image.digest"):
            raise InputError(
                "the serving image's digest is UNSET, and the Job runs that image",
                at=each.location,
                hint="build and push the image first",
            )
    pod = mapping(sync.value, "spec", "template", "spec")
    container = mapping(pod, "containers", 0)
    placed = {key: pod[key] for key in ("nodeSelector", "tolerations") if key in pod}
    return {
        **_object("batch/v1", "Job", _META),
        "spec": {
            "activeDeadlineSeconds": _DEADLINE,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _AFTERWARDS,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": NAME}},
                "spec": {
                    **placed,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "restartPolicy": "Never",
                    "securityContext": {
                        "runAsUser": 0,
                        "runAsGroup": 0,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "own",
                            "image": container["image"],
                            "imagePullPolicy": container["imagePullPolicy"],
                            "command": ["python", "-m", "model_sync.own"],
                            "args": ["--data=/efs/data", *(["--apply"] if apply else [])],
                            "resources": container["resources"],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "privileged": False,
                                "readOnlyRootFilesystem": True,
                                # To give files away, to change modes of what is not one's own,
                                # and to look into folders that let nobody in.
                                "capabilities": {
                                    "drop": ["ALL"],
                                    "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
                                },
                            },
                            "volumeMounts": [{"name": "efs", "mountPath": "/efs"}],
                        }
                    ],
                    "volumes": [{"name": "efs", "persistentVolumeClaim": {"claimName": NAME}}],
                },
            },
        },
    }


def _object(version: str, kind: str, metadata: Value, spec: Value | None = None) -> Value:
    made: dict[str, object] = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return made | ({"spec": spec} if spec else {})


def _pod_security_version(environment: Environment) -> str:
    """The version that the other namespaces judge by: the cluster's."""
    key = f"{_PSS}/enforce-version"
    return next(str(each.labels[key]) for each in environment.of("Namespace") if key in each.labels)
