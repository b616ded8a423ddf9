"""``harness status``: what Flux applied to a cluster, what is not ready and why; or its figures."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cli import live, options
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.kubernetes import api, drift, kubeconfig, status
from harness.kubernetes.api import Api
from harness.kubernetes.status import ClusterStatus
from harness.local_cluster import local


def register(parser: argparse.ArgumentParser) -> None:
    """Add the environments, their clusters, and what these should run."""
    options.add_every_env(parser, "every environment whose name is a KUBECONFIG context")
    options.add_context(parser)
    parser.add_argument(
        "--against", metavar="COMMIT", help="commit of main; exit 1 if a cluster does not run it"
    )
    parser.add_argument(
        "--live", action="store_true", help="metrics, error budgets and alerts of one environment"
    )
    parser.set_defaults(run=_status)


@dataclass(frozen=True, slots=True)
class _Report:
    """What a cluster runs, and where that is not what main contains."""

    env: str
    cluster_status: ClusterStatus
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.cluster_status.ready and not self.differences

    def as_json(self) -> dict[str, object]:
        return {
            **self.cluster_status.as_json(),
            "environment": self.env,
            "differs": self.differences,
        }

    def __str__(self) -> str:
        lines = [f"differs from main: {each}" for each in self.differences]
        return "\n".join([f"{self.env}:", *lines, status.format_status(self.cluster_status)])


def _status(args: argparse.Namespace) -> int:
    repository = find_repository()
    if args.live:
        if args.env is None:
            raise UsageError("--live is of one environment: --env ENV")
        return live.show(args, _cluster(repository, args.env, args.context))
    if args.env is None:
        if args.context:
            raise UsageError("--all takes each environment's own context, so not --context")
        reports = [_report(repository, env, env, args.against) for env in _reachable(repository)]
        answer: object = [each.as_json() for each in reports]
    else:
        repository.cluster(args.env)
        reports = [_report(repository, args.env, args.context, args.against)]
        answer = reports[0].as_json()
    print(json.dumps(answer, indent=2) if args.json else "\n\n".join(map(str, reports)))
    return 0 if all(each.passed for each in reports) else 1


def _reachable(repository: Repository) -> Iterator[str]:
    """Yield the environments whose name is a context of KUBECONFIG."""
    contexts = kubeconfig.contexts()
    names = repository.environments
    if not set(names) & set(contexts):
        raise UsageError(
            f"none of {', '.join(names)} is a context of KUBECONFIG",
            hint="aws eks update-kubeconfig --name CLUSTER --alias ENV",
        )
    return (name for name in names if name in contexts)


def _report(repository: Repository, env: str, context: str | None, against: str | None) -> _Report:
    cluster_status = status.collect(_cluster(repository, env, context), repository)
    differences = drift.differences(cluster_status, repository, env, against) if against else ()
    return _Report(env, cluster_status, tuple(differences))


def _cluster(repository: Repository, env: str, context: str | None) -> Api:
    """The local cluster of an environment, or the one of KUBECONFIG."""
    repository.cluster(env)
    cluster = None if context else local.find(repository, env)
    if cluster and not cluster.alive:
        raise HarnessError(f"the local cluster {env} is not running", hint="`make cluster`")
    return cluster.api if cluster else api.connect(context=context)
