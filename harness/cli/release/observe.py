"""``harness release observe``: saves what an environment's cluster runs, for a promotion."""

import argparse
import json
from pathlib import Path

from harness.cli import options
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.kubernetes import api
from harness.kubernetes.api import Api
from harness.local_cluster import local
from harness.promotion import running
from harness.promotion.running import Running
from harness.settings import gates
from harness.settings.gates import Gates


def register(parser: argparse.ArgumentParser) -> None:
    options.add_route(parser)
    options.add_context(parser, "the source's cluster")
    parser.add_argument(
        "--save-state",
        type=Path,
        metavar="FILE",
        help="file for `harness release promote --source-state` (default: only print the commit)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the commit that the source runs, and save all that a promotion asks of it."""
    repository = find_repository()
    target_gates = require_route(repository, args)
    cluster = _cluster(repository, args.source, args.context)
    state = running.observe(cluster, repository, target_gates)
    if args.save_state:
        running.write(state, args.save_state)
    text = f"{args.source} runs {state.commit}"
    print(json.dumps({"commit": state.commit}) if args.json else text)
    return 0


def require_route(repository: Repository, args: argparse.Namespace) -> Gates:
    """Return the target's gates; refuse a source that does not prove the target's releases.

    Raises:
        UsageError: promotion.yaml of the target names another one.
    """
    target_gates = gates.load(repository, args.target)
    source = target_gates.from_
    if source != args.source:
        message = f"{args.target} takes releases from {source}, not {args.source}"
        raise UsageError(message, hint=f"--from {source}")
    return target_gates


def source_state(
    repository: Repository, args: argparse.Namespace, target_gates: Gates | None = None
) -> Running:
    """Return what the source's cluster runs: as it was saved, or as it is now."""
    if args.source_state:
        return running.read(args.source_state)
    cluster = _cluster(repository, args.source, args.context)
    return running.observe(cluster, repository, target_gates)


def _cluster(repository: Repository, env: str, context: str | None) -> Api:
    """Return an environment's cluster: the local one of its name, else that of KUBECONFIG."""
    cluster = None if context else local.find(repository, env)
    return cluster.api if cluster and cluster.alive else api.connect(context=context)
