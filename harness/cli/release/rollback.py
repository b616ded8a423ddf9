"""``harness release rollback``: points an environment back to an earlier release."""

import argparse
import dataclasses
import json

from harness.cli import options, tools
from harness.core import console
from harness.core.git import Git
from harness.core.repository import find as find_repository
from harness.promotion import gather, history, rollback
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
    tools.set_up(repository)
    branch = Branch.of(upstream(Git(repository.root)), args.env, "rollback")
    release = rollback.chosen(history.pinned(repository, args.env), args.to)
    with console.step(f"find everything that {release.commit[:12]} needs"):
        requirements = gates.load(repository, args.env)
        candidate = gather.candidate(Renderer(repository), args.env, release.commit, requirements)
    move = rollback.rollback(
        repository, branch, release, candidate, args.reason, replace=args.replace
    )
    if args.push:
        branch.push(move.made)
    how = "created" if move.changed else "already exists"
    text = (
        f"{args.env} goes back to {move.commit[:12]} from {move.replaces[:12] or 'nothing'}\n"
        f"branch {move.branch} at {move.made[:12]} ({how}): open a pull request"
    )
    print(json.dumps(dataclasses.asdict(move), indent=2) if args.json else text)
    return 0
