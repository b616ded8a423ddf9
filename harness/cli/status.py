"""``harness status``: what Flux applied to a cluster, what is not ready and why."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core import repository
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import Repository
from harness.kubernetes import api, drift, kubeconfig, status
from harness.kubernetes.status import ClusterStatus
from harness.local_cluster import local


def register(parser: argparse.ArgumentParser) -> None:
    """Add which environments, or which cluster, and what it should run."""
    parser.add_argument("--env", default="local", help="its local cluster, if there is one (local)")
    parser.add_argument("--context", help="of KUBECONFIG, instead of a local cluster")
    parser.add_argument(
        "--every", action="store_true", help="environment that KUBECONFIG has a context of"
    )
    parser.add_argument(
        "--against", metavar="COMMIT", help="of main: exit 1 where it is not what runs, too"
    )
    parser.set_defaults(run=_status)


@dataclass(frozen=True, slots=True)
class _Look:
    """A cluster's screen, and where it is not what main says."""

    env: str
    screen: ClusterStatus
    differs: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.screen.ready and not self.differs

    def as_json(self) -> dict[str, object]:
        return {**self.screen.as_json(), "environment": self.env, "differs": self.differs}

    def __str__(self) -> str:
        lines = [f"not what main says: {each}" for each in self.differs]
        return "\n".join([f"{self.env}:", *lines, status.format_status(self.screen)])


def _status(args: argparse.Namespace) -> int:
    here = repository.find()
    if args.every:
        looks = [_look(here, env, env, args.against) for env in _known(here)]
        answer: object = [each.as_json() for each in looks]
    else:
        here.cluster(args.env)
        looks = [_look(here, args.env, args.context, args.against)]
        answer = looks[0].as_json()
    print(json.dumps(answer, indent=2) if args.json else "\n\n".join(map(str, looks)))
    return 0 if all(each.good for each in looks) else 1


def _known(here: Repository) -> Iterator[str]:
    """The environments whose name is a context of KUBECONFIG."""
    contexts = kubeconfig.contexts()
    names = here.environments
    if not set(names) & set(contexts):
        raise UsageError(
            f"none of {', '.join(names)} is a context of KUBECONFIG",
            hint="aws eks update-kubeconfig --name CLUSTER --alias ENV",
        )
    return (name for name in names if name in contexts)


def _look(here: Repository, env: str, context: str | None, against: str | None) -> _Look:
    cluster = None if context else local.find(here, env)
    if cluster and not cluster.alive:
        raise HarnessError(f"the local cluster {env} has ended", hint="`make cluster`")
    screen = status.collect(cluster.api if cluster else api.connect(context=context), here)
    differs = drift.differences(screen, here, env, against) if against else ()
    return _Look(env, screen, tuple(differs))
