"""The file system behind the model store, by Jobs in the cluster that has it mounted."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.archives import chown_job, gc, gc_job
from harness.aws import Aws, AwsError
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.efs import settings
from harness.kubernetes import job, kinds, reconciliation
from harness.kubernetes import pod_settings as server_settings
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import connect
from harness.render.renderer import Renderer
from harness.settings import site

_NAME = _NAMESPACE = "torchserve"
_FILES = "model-files.json"
# Of each group: the release that is about to run, and one of a chart that kept its settings apart
# from its pods. A name of the chart's is cut to 50 characters.
_LISTS = ("{}-model-sync", "{}")
_LONGEST_NAME = 50


@dataclass(frozen=True, slots=True)
class Unneeded:
    """An archive that no release needs, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a store holds for nobody.

    Attributes:
        archives: those that no release needs.
        gone: groups that the cluster no longer has, but the store a record of.
    """

    archives: tuple[Unneeded, ...]
    gone: tuple[str, ...]


def sweep(repository: Repository, env: str, context: str | None, *, remove: bool) -> Garbage:
    """List what no recorded or running release of any group needs; with ``remove``, delete it.

    Raises:
        UsageError: the environment has no EFS file system.
        HarnessError: a release is under way, its commit is not in this checkout, or the Job failed.
    """
    settings.load(repository, env)
    cluster = connect.connect(repository, env, context)
    # First: a group that has no HelmRelease yet has not begun to fill the store either.
    groups = releases(cluster)
    moving = [name for name, each in groups.items() if not reconciliation.ready(each)]
    if remove and (moving or not groups):
        raise HarnessError(
            f"{', '.join(moving) or 'no group'} is not Ready: a rollback may need any archive",
            hint=f"harness status --env {env}",
        )
    rendered = Renderer(repository).at(env, _applied_commit(cluster))
    keep = gc.needed_archives(repository) | listed_archives(cluster, groups)
    manifest = gc_job.manifest(rendered, remove=remove)
    lists = gc_job.lists(manifest, keep, groups)
    listing = _parse_result(job.run(cluster, manifest, [lists]))
    archives = tuple(Unneeded(**each) for each in listing["unneeded"])
    return Garbage(archives, tuple(listing["gone"]))


def releases(cluster: Api) -> dict[str, Value]:
    """The HelmRelease of each group, by the group's name: that of its Helm release."""
    return {
        text(each, "spec", "releaseName"): each
        for each in cluster.list_all(kinds.HELM_RELEASE, kinds.FLUX_NAMESPACE)
        if text(each, "spec", "targetNamespace") == _NAMESPACE
    }


def listed_archives(cluster: Api, groups: Iterable[str]) -> set[str]:
    """The archives that a group in the cluster lists, each ReplicaSet that can come back too."""
    names = [each[:_LONGEST_NAME].rstrip("-") for each in groups]
    maps = [pattern.format(name) for name in names for pattern in _LISTS]
    lists = [cluster.get(kinds.CONFIG_MAP, name, _NAMESPACE) for name in maps]
    sets = map(server_settings.of, cluster.list_all(kinds.REPLICA_SET, _NAMESPACE))
    texts = [text(each, "data", _FILES) for each in lists] + [each.get(_FILES) for each in sets]
    return {file["name"] for each in texts if each for file in json.loads(each)}


@dataclass(frozen=True, slots=True)
class ChownResult:
    """The outcome of a change of ownership.

    Attributes:
        changed: path, and owner, group and mode before and after.
        untouched: what is not part of the old guide's layout, and is not changed.
    """

    changed: tuple[str, ...]
    untouched: tuple[str, ...]


def chown_tree(
    repository: Repository, env: str, context: str | None, file_system: str, *, apply: bool
) -> ChownResult:
    """List what has another owner or mode than the sync Job gives; ``apply`` changes it.

    Raises:
        InputError: there is no such file system, or root access to it is blocked.
        HarnessError: the Job cannot be run.
    """
    region = settings.load(repository, env).region
    _refuse_guarded(site.aws(repository, env, region), file_system)
    rendered = Renderer(repository).candidate(env)
    manifest = chown_job.job(rendered, apply=apply)
    cluster = connect.connect(repository, env, context)
    with present(cluster, chown_job.prerequisites(rendered, file_system)):
        ownership = _parse_result(job.run(cluster, manifest))
    changed = [
        f"{each['path']}: {each['before']} → {each['after']}" for each in ownership["changed"]
    ]
    return ChownResult(tuple(changed), tuple(ownership["left"]))


@contextlib.contextmanager
def present(cluster: Api, objects: Sequence[Value]) -> Iterator[None]:
    """Apply objects, and delete them when the block ends, with any leftovers of earlier runs."""
    try:
        for each in objects:
            cluster.apply(each)
        yield
    finally:
        for each in reversed(objects):
            metadata = mapping(each, "metadata")
            kind = Kind(text(each, "apiVersion"), text(each, "kind"))
            cluster.delete(kind, text(metadata, "name"), text(metadata, "namespace"))


def _refuse_guarded(aws: Aws, file_system: str) -> None:
    """Refuse a file system with a policy, which allows neither plain mounts nor root."""
    try:
        aws.read("efs", "describe_file_system_policy", FileSystemId=file_system)
    except AwsError as error:
        if error.code == "PolicyNotFound":
            return
        if error.code == "FileSystemNotFound":
            raise InputError(f"there is no file system {file_system} here") from error
        raise
    raise InputError(
        f"{file_system} has a file-system policy, which blocks root access",
        hint=f"aws efs delete-file-system-policy --file-system-id {file_system}; afterwards "
        "`harness efs apply` puts it back",
    )


def _parse_result(output: str) -> Any:
    """Parse the last line of a program of ``model_sync``; Python may print a warning before it."""
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise HarnessError(
            f"the Job succeeded, but its output is not JSON: {output[:500]!r}"
        ) from error


def _applied_commit(cluster: Api) -> str:
    """The commit whose release Flux has applied."""
    apps = cluster.get(kinds.KUSTOMIZATION, _NAME, kinds.FLUX_NAMESPACE)
    commit = text(apps, "status", "lastAppliedRevision").rpartition(":")[2]
    if not commit:
        raise HarnessError("Flux has applied nothing yet")
    return commit
