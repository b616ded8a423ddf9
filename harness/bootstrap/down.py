"""Removes what the foundation has created, once the file system and the cluster are deleted.

Data is removed only with ``--with-data``; the key can be restored for a month.
"""

from harness.aws import Answer, AwsError
from harness.bootstrap import account, eks, foundation, karpenter, stack
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Inspection, Step
from harness.core import console
from harness.core.errors import HarnessError
from harness.efs import plan, settings, state
from harness.settings import site

_BATCH = 1_000  # versions that S3 removes in one call
_IMAGES = 100  # that ECR removes in one call
_DAYS = 30  # the longest that KMS waits


def inspect_store(installation: Installation) -> Inspection:
    """Check whether the file system is gone: its mount targets keep the network from going."""
    desired = settings.load(installation.repository, installation.env)
    if not plan.demolish(state.collect(installation.aws, desired)):
        return Inspection(("no file system",))
    return Inspection(
        ("the file system still exists",), manual=f"harness efs destroy --env {installation.env}"
    )


def inspect_cluster(installation: Installation) -> Inspection:
    """Check whether the cluster is gone."""
    name = installation.cluster_name
    if eks.find(installation.aws, name) is None:
        return Inspection((f"no EKS cluster {name}",))
    return Inspection(
        (f"EKS cluster {name} still exists",),
        manual=f"eksctl delete cluster -f {installation.eksctl_file} --wait",
    )


def inspect_images(installation: Installation) -> Inspection:
    """Check whether the registry is empty."""
    return _data_inspection(
        installation, len(_images(installation)), f"images in {_registry(installation)}"
    )


def remove_images(installation: Installation, update: console.Update) -> None:
    """Remove every image.

    Raises:
        HarnessError: the registry keeps some; the text says why.
    """
    name = _registry(installation)
    # An image for several platforms keeps those that it is made of: they go once it is gone.
    while images := _images(installation):
        update(f"{len(images)} images")
        response = installation.aws.call(
            "ecr", "batch_delete_image", repositoryName=name, imageIds=images[:_IMAGES]
        )
        if not response["imageIds"]:
            why = {each["failureReason"] for each in response["failures"]}
            raise HarnessError(f"{name} keeps {len(images)} images: {'; '.join(sorted(why))}")


def inspect_archives(installation: Installation) -> Inspection:
    """Check whether the bucket is empty, earlier versions included."""
    bucket = installation.value("MODEL_BUCKET")
    return _data_inspection(
        installation, len(_versions(installation)), f"versions in s3://{bucket}"
    )


def remove_archives(installation: Installation, update: console.Update) -> None:
    """Remove every version of every object: archives and evidence."""
    bucket, versions = installation.value("MODEL_BUCKET"), _versions(installation)
    for start in range(0, len(versions), _BATCH):
        update(f"{start:,} of {len(versions):,} versions")
        batch = versions[start : start + _BATCH]
        installation.aws.call(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True}
        )


def inspect_nodes(installation: Installation) -> Inspection:
    """Check whether the stack of Karpenter's roles and queue is gone."""
    return _stack_inspection(installation, karpenter.stack_name(installation))


def remove_nodes(installation: Installation, update: console.Update) -> None:
    """Delete that stack."""
    stack.delete(installation.aws, karpenter.stack_name(installation), installation.pace, update)


def inspect_stack(installation: Installation) -> Inspection:
    """Check whether the foundation's stack is gone."""
    return _stack_inspection(installation, foundation.stack_name(installation))


def remove_stack(installation: Installation, update: console.Update) -> None:
    """Delete that stack."""
    stack.delete(installation.aws, foundation.stack_name(installation), installation.pace, update)


def inspect_bucket(installation: Installation) -> Inspection:
    """Check whether the bucket is gone, which outlives the stack."""
    bucket = installation.value("MODEL_BUCKET")
    if bucket == UNSET or not _exists(installation, bucket):
        return Inspection(("no bucket",))
    return Inspection(changes=(f"- s3://{bucket}",))


def remove_bucket(installation: Installation, _: console.Update) -> None:
    """Remove the bucket."""
    installation.aws.call("s3", "delete_bucket", Bucket=installation.value("MODEL_BUCKET"))


def inspect_key(installation: Installation) -> Inspection:
    """Check whether the key is going, which outlives the stack."""
    key = installation.value("KMS_KEY_ARN")
    metadata = {} if key == UNSET else _key(installation, key)
    if not metadata:
        return Inspection(("no key",))
    if metadata["KeyState"] == "PendingDeletion":
        return Inspection((f"{key} goes on {metadata['DeletionDate']:%Y-%m-%d}",))
    return Inspection(
        changes=(f"- {key}, in {_DAYS} days: nothing that it encrypted can be read then",)
    )


def remove_key(installation: Installation, _: console.Update) -> None:
    """Have KMS delete the key, after as long as it can wait."""
    name = installation.value("KMS_KEY_ARN").rpartition("/")[2]
    installation.aws.call("kms", "schedule_key_deletion", KeyId=name, PendingWindowInDays=_DAYS)


def inspect_values(installation: Installation) -> Inspection:
    """Check whether Git names nothing any more that is gone."""
    changes = tuple(f"~ {name}: {UNSET}" for name in _written_values(installation))
    return Inspection((f"what was written is {UNSET}",), changes)


def forget_values(installation: Installation, _: console.Update) -> None:
    """Write UNSET over what the foundation had brought."""
    gone = dict.fromkeys(_written_values(installation), UNSET)
    site.fill(installation.repository, installation.env, gone)


DOWN = (
    # Another account has none of this, which would be taken for deleted.
    Step("account", "whose credentials these are", account.inspect_account),
    Step("store", "the file system", inspect_store),
    Step("cluster", "the cluster", inspect_cluster),
    Step("nodes", "the stack of Karpenter's roles", inspect_nodes, remove_nodes),
    Step("images", "the images", inspect_images, remove_images),
    Step("archives", "archives and evidence", inspect_archives, remove_archives),
    Step("foundation", "the stack", inspect_stack, remove_stack),
    Step("bucket", "the bucket", inspect_bucket, remove_bucket),
    Step("key", "the key", inspect_key, remove_key),
    Step("values", "what names them in Git", inspect_values, forget_values),
)
"""Back to an empty account."""


def _data_inspection(installation: Installation, count: int, what: str) -> Inspection:
    """Inspect data, which is removed only with ``--with-data``."""
    if not count:
        return Inspection((f"no {what}",))
    if installation.with_data:
        return Inspection(changes=(f"- {count:,} {what}",))
    command = f"harness bootstrap destroy --env {installation.env} --with-data"
    return Inspection((f"{count:,} {what}",), manual=f"{command}: removes them for good")


def _stack_inspection(installation: Installation, name: str) -> Inspection:
    if stack.find(installation.aws, name):
        return Inspection(changes=(f"- stack {name}",))
    return Inspection((f"no stack {name}",))


def _registry(installation: Installation) -> str:
    return f"{installation.env}/torchserve"


def _images(installation: Installation) -> list[dict[str, str]]:
    """Every image in the registry; none where there is no registry."""
    name = _registry(installation)
    try:
        return installation.aws.list_all("ecr", "list_images", "imageIds", repositoryName=name)
    except AwsError as error:
        if error.code == "RepositoryNotFoundException":
            return []
        raise


def _versions(installation: Installation) -> list[dict[str, str]]:
    """Every version of every object in the bucket, marks of deleted ones included."""
    bucket = installation.value("MODEL_BUCKET")
    if bucket == UNSET or not _exists(installation, bucket):
        return []
    return [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for kind in ("Versions", "DeleteMarkers")
        for each in installation.aws.list_all("s3", "list_object_versions", kind, Bucket=bucket)
    ]


def _exists(installation: Installation, bucket: str) -> bool:
    try:
        installation.aws.read("s3", "head_bucket", Bucket=bucket)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def _key(installation: Installation, key: str) -> Answer:
    """Return KMS's description of a key, empty if it is deleted."""
    try:
        metadata: Answer = installation.aws.read("kms", "describe_key", KeyId=key)["KeyMetadata"]
    except AwsError as error:
        if error.code == "NotFoundException":
            return {}
        raise
    return metadata


def _written_values(installation: Installation) -> list[str]:
    values = installation.values()
    return sorted(
        name
        for name in foundation.written_settings(installation)
        if values.get(name, UNSET) != UNSET
    )
