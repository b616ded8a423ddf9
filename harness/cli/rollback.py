"""``harness rollback``: points an environment back at a release that it ran before."""

import argparse
import json

from harness.cli import tools
from harness.core import console, repository
from harness.core.git import Git
from harness.promotion import collect, history, rollback
from harness.promotion.branch import Branch, upstream
from harness.render.renderer import Renderer
from harness.settings import gates


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
    pin = rollback.choose(history.pins(here, args.env), args.to)
    with console.step(f"look for all that {pin.commit[:12]} needs"):
        candidate = collect.candidate(
            Renderer(here), args.env, pin.commit, gates.load(here, args.env)
        )
    result = rollback.rollback(here, branch, pin, candidate, args.reason, replace=args.replace)
    if args.push:
        branch.push(result.tip)
    how = "new" if result.changed else "already existed"
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
