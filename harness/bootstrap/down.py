"""The way down: what the foundation has made, once the file system and the cluster are gone.

What holds data is removed only where that was asked for; the key can be brought back for a month.
"""

from harness.aws import Answer, AwsError
from harness.bootstrap import account, eks, foundation, stack
from harness.bootstrap.installation import UNSET, Installation
from harness.bootstrap.step import Look, Step
from harness.core import console
from harness.core.errors import HarnessError
from harness.efs import plan, settings, state
from harness.settings import site

_BATCH = 1_000  # versions that S3 removes in one call
_IMAGES = 100  # that ECR removes in one call
_DAYS = 30  # the longest that KMS waits


def look_store(installation: Installation) -> Look:
    """Whether the file system is gone: its mount targets keep the network from going."""
    wanted = settings.load(installation.repository, installation.env)
    if not plan.demolish(state.look(installation.aws, wanted)):
        return Look(("no file system",))
    return Look(
        ("the file system is there",), person=f"harness efs destroy --env {installation.env}"
    )


def look_cluster(installation: Installation) -> Look:
    """Whether the cluster is gone."""
    name = installation.cluster_name
    if eks.find(installation.aws, name) is None:
        return Look((f"no EKS cluster {name}",))
    return Look(
        (f"EKS cluster {name} is there",),
        person=f"eksctl delete cluster -f {installation.eksctl_file} --wait",
    )


def look_images(installation: Installation) -> Look:
    """Whether the registry is empty."""
    return _held(installation, len(_images(installation)), f"images in {_registry(installation)}")


def remove_images(installation: Installation, update: console.Update) -> None:
    """Remove every image.

    Raises:
        HarnessError: the registry keeps some; the text says why.
    """
    name = _registry(installation)
    # An image for several platforms keeps those that it is made of: they go once it is gone.
    while found := _images(installation):
        update(f"{len(found)} images")
        answer = installation.aws.ask(
            "ecr", "batch_delete_image", repositoryName=name, imageIds=found[:_IMAGES]
        )
        if not answer["imageIds"]:
            why = {each["failureReason"] for each in answer["failures"]}
            raise HarnessError(f"{name} keeps {len(found)} images: {'; '.join(sorted(why))}")


def look_archives(installation: Installation) -> Look:
    """Whether the bucket is empty, earlier versions included."""
    bucket = installation.value("MODEL_BUCKET")
    return _held(installation, len(_versions(installation)), f"versions in s3://{bucket}")


def remove_archives(installation: Installation, update: console.Update) -> None:
    """Remove every version of every object: archives and evidence."""
    bucket, found = installation.value("MODEL_BUCKET"), _versions(installation)
    for start in range(0, len(found), _BATCH):
        update(f"{start:,} of {len(found):,} versions")
        some = found[start : start + _BATCH]
        installation.aws.ask(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": some, "Quiet": True}
        )


def look_stack(installation: Installation) -> Look:
    """Whether the stack is gone."""
    there = stack.find(installation.aws, foundation.stack_name(installation))
    return Look(changes=(f"- stack {there.name}",)) if there else Look(("no stack",))


def remove_stack(installation: Installation, update: console.Update) -> None:
    """Delete the stack."""
    stack.delete(installation.aws, foundation.stack_name(installation), installation.pace, update)


def look_bucket(installation: Installation) -> Look:
    """Whether the bucket is gone, which outlives the stack."""
    bucket = installation.value("MODEL_BUCKET")
    if bucket == UNSET or not _exists(installation, bucket):
        return Look(("no bucket",))
    return Look(changes=(f"- s3://{bucket}",))


def remove_bucket(installation: Installation, _: console.Update) -> None:
    """Remove the bucket."""
    installation.aws.ask("s3", "delete_bucket", Bucket=installation.value("MODEL_BUCKET"))


def look_key(installation: Installation) -> Look:
    """Whether the key is going, which outlives the stack."""
    key = installation.value("KMS_KEY_ARN")
    found = {} if key == UNSET else _key(installation, key)
    if not found:
        return Look(("no key",))
    if found["KeyState"] == "PendingDeletion":
        return Look((f"{key} goes on {found['DeletionDate']:%Y-%m-%d}",))
    return Look(changes=(f"- {key}, in {_DAYS} days: nothing that it encrypted can be read then",))


def remove_key(installation: Installation, _: console.Update) -> None:
    """Have KMS delete the key, after as long as it can wait."""
    name = installation.value("KMS_KEY_ARN").rpartition("/")[2]
    installation.aws.ask("kms", "schedule_key_deletion", KeyId=name, PendingWindowInDays=_DAYS)


def look_values(installation: Installation) -> Look:
    """Whether Git names nothing any more that is gone."""
    changes = tuple(f"~ {name}: {UNSET}" for name in _written(installation))
    return Look((f"what was written is {UNSET}",), changes)


def forget_values(installation: Installation, _: console.Update) -> None:
    """Write UNSET over what the foundation had brought."""
    gone = dict.fromkeys(_written(installation), UNSET)
    site.fill(installation.repository, installation.env, gone)


DOWN = (
    # In another account nothing is there, which would be taken for gone.
    Step("account", "whose credentials these are", account.look_account),
    Step("store", "the file system", look_store),
    Step("cluster", "the cluster", look_cluster),
    Step("images", "the images", look_images, remove_images),
    Step("archives", "archives and evidence", look_archives, remove_archives),
    Step("foundation", "the stack", look_stack, remove_stack),
    Step("bucket", "the bucket", look_bucket, remove_bucket),
    Step("key", "the key", look_key, remove_key),
    Step("values", "what names them in Git", look_values, forget_values),
)
"""Back to an empty account."""


def _held(installation: Installation, count: int, what: str) -> Look:
    """Data: it stays where its end was not asked for."""
    if not count:
        return Look((f"no {what}",))
    if installation.with_data:
        return Look(changes=(f"- {count:,} {what}",))
    command = f"harness bootstrap destroy --env {installation.env} --with-data"
    return Look((f"{count:,} {what}",), person=f"{command}: removes them for good")


def _registry(installation: Installation) -> str:
    return f"{installation.env}/torchserve"


def _images(installation: Installation) -> list[dict[str, str]]:
    """Every image in the registry; none where there is no registry."""
    name = _registry(installation)
    try:
        return installation.aws.every("ecr", "list_images", "imageIds", repositoryName=name)
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
        for each in installation.aws.every("s3", "list_object_versions", kind, Bucket=bucket)
    ]


def _exists(installation: Installation, bucket: str) -> bool:
    try:
        installation.aws.ask("s3", "head_bucket", Bucket=bucket)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def _key(installation: Installation, key: str) -> Answer:
    """What KMS says of a key; nothing where it is gone."""
    try:
        found: Answer = installation.aws.ask("kms", "describe_key", KeyId=key)["KeyMetadata"]
    except AwsError as error:
        if error.code == "NotFoundException":
            return {}
        raise
    return found


def _written(installation: Installation) -> list[str]:
    values = installation.values()
    return sorted(
        name for name in foundation.filled(installation) if values.get(name, UNSET) != UNSET
    )
