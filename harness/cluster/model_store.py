"""The file system behind the model store, by Jobs in the cluster that has it mounted."""

import json
import re
from dataclasses import dataclass

from harness.cluster import environment, flux, job, kinds, synced
from harness.cluster.api import Api
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.efs import settings
from harness.render.environment import Renderer
from harness.render.objects import text
from harness.store import gc, gc_job

_NAME = _NAMESPACE = "torchserve"
_LISTS = (_NAME, f"{_NAME}-model-sync")  # the release that runs, and one that is about to
_MAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.mar\b")


@dataclass(frozen=True, slots=True)
class Unneeded:
    """An archive that no release needs, and its size in bytes."""

    name: str
    size: int


def sweep(checkout: Repository, env: str, context: str | None, *, remove: bool) -> list[Unneeded]:
    """Name what no recorded release needs and nothing that runs; remove it if told.

    Raises:
        UsageError: the environment has no EFS file system.
        HarnessError: a release is under way, its commit is not in this checkout, or the Job failed.
    """
    settings.load(checkout, env)
    cluster = environment.connect(checkout, env, context)
    release = cluster.get(kinds.HELM_RELEASE, _NAME, flux.NAMESPACE)
    if remove and not (release and synced.ready(release)):
        raise HarnessError(
            "the release is not Ready: a rollback may need any archive",
            hint=f"harness status --env {env}",
        )
    rendered = Renderer(checkout).at(env, _applied(cluster))
    keep = gc.needed(checkout) | _running(cluster)
    wanted = gc_job.manifest(rendered, remove=remove)
    said = job.run(cluster, wanted, [gc_job.keep_list(wanted, keep)])
    try:
        return [Unneeded(**each) for each in json.loads(said)["unneeded"]]
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"the Job has ended well and said {said[:500]!r}") from error


def _applied(cluster: Api) -> str:
    """The commit whose release Flux has applied."""
    apps = cluster.get(kinds.KUSTOMIZATION, _NAME, flux.NAMESPACE)
    commit = text(apps, "status", "lastAppliedRevision").rpartition(":")[2]
    if not commit:
        raise HarnessError("Flux has applied nothing yet")
    return commit


def _running(cluster: Api) -> set[str]:
    """The archives that a release in the cluster lists."""
    lists = [cluster.get(kinds.CONFIG_MAP, name, _NAMESPACE) for name in _LISTS]
    return {name for each in lists for name in _MAR.findall(text(each, "data", "model-files.json"))}
