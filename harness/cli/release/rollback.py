"""``harness rollback``: points an environment back at a release that it ran before."""

import argparse
import dataclasses
import json

from harness import gates
from harness.cli import tools
from harness.core import console, repository
from harness.core.git import Git
from harness.promotion import gather, history, rollback
from harness.promotion.branch import Branch, upstream
from harness.render.environment import Renderer


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", default="production", help="what goes back (production)")
    parser.add_argument("--to", default="", metavar="COMMIT", help="the release before")
    parser.add_argument("--reason", required=True, help="for the log")
    parser.add_argument("--replace", action="store_true", help="give up what waits on the branch")
    parser.add_argument("--push", action="store_true", help="push the branch to origin")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Commit on a branch, and say which."""
    here = repository.find()
    tools.set_up(here)
    branch = Branch.of(upstream(Git(here.root)), args.env, "rollback")
    release = rollback.chosen(history.pinned(here, args.env), args.to)
    with console.step(f"look for all that {release.commit[:12]} needs"):
        wanted = gates.load(here, args.env)
        found = gather.candidate(Renderer(here), args.env, release.commit, wanted)
    done = rollback.rollback(here, branch, release, found, args.reason, replace=args.replace)
    if args.push:
        branch.push(done.made)
    how = "made" if done.changed else "was there"
    text = (
        f"{args.env} goes back to {done.commit[:12]} from {done.replaces[:12] or 'nothing'}\n"
        f"branch {done.branch} at {done.made[:12]} ({how}): open a pull request"
    )
    print(json.dumps(dataclasses.asdict(done), indent=2) if args.json else text)
    return 0
