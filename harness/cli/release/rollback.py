"""``harness release rollback``: points an environment back to an earlier release."""

import argparse
import json

from harness.cli import options, tools
from harness.core import console
from harness.core.git import Git
from harness.core.repository import find as find_repository
from harness.promotion import collect, history, rollback
from harness.promotion.branch import Branch, upstream
from harness.render.renderer import Renderer
from harness.settings import gates


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.add_argument(
        "--to",
        default="",
        metavar="COMMIT",
        help="commit of an earlier release (default: the one before)",
    )
    parser.add_argument("--reason", required=True, help="reason, for the commit's message")
    options.add_branch(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Commit on a branch, and print which."""
    repository = find_repository()
    repository.cluster(args.env)
    tools.set_up(repository)
    branch = Branch.of(upstream(Git(repository.root)), args.env, "rollback")
    pin = rollback.choose(history.pins(repository, args.env), args.to)
    with console.step(f"find everything that {pin.commit[:12]} needs"):
        requirements = gates.load(repository, args.env)
        candidate = collect.candidate(Renderer(repository), args.env, pin.commit, requirements)
    result = rollback.rollback(
        repository, branch, pin, candidate, args.reason, replace=args.replace
    )
    if args.push:
        branch.push(result.tip)
    how = "created" if result.changed else "already exists"
    text = (
        f"{args.env} goes back to {result.commit[:12]} from {result.replaces[:12] or 'nothing'}\n"
        f"branch {result.branch} at {result.tip[:12]} ({how}): open a pull request"
    )
    data = {
        "commit": result.commit,
        "replaces": result.replaces,
        "branch": result.branch,
        "made": result.tip,
        "changed": result.changed,
    }
    print(json.dumps(data, indent=2) if args.json else text)
    return 0
