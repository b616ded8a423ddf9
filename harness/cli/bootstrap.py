"""``harness bootstrap``: from an empty AWS account to the first sync."""

import argparse
import json
import os
import sys
from dataclasses import asdict

from harness.bootstrap.installation import of
from harness.bootstrap.step import Row, apply, format_progress, format_rows, plan
from harness.bootstrap.steps import STEPS
from harness.core import console, repository
from harness.core.errors import UsageError

_TOKEN = "GIT_TOKEN"  # noqa: S105 (a variable's name)


def register(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which environment, and where the token comes from."""
    parser.add_argument(
        "action",
        choices=["plan", "apply"],
        help="plan: how each step stands, and what it would change · "
        "apply: do what is left, as far as it goes without you",
    )
    parser.add_argument("--env", required=True, help="the environment, such as staging")
    parser.add_argument(
        "--token-stdin",
        action="store_true",
        help=f"read the Git server's token from standard input (else: {_TOKEN}); "
        "nothing of the kind is needed where GIT_URL begins with ssh://",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    planning = args.action == "plan"
    token = _token(from_stdin=args.token_stdin)
    installation = of(repository.find(), args.env, token=token, in_detail=planning)
    if planning:
        rows = plan(STEPS, installation)
    else:
        rows = []
        for row in apply(STEPS, installation):
            rows.append(row)
            console.note(format_progress(row))
    _show(rows, as_json=args.json, planning=planning, env=args.env)
    return 0


def _token(*, from_stdin: bool) -> str | None:
    """The token; out of the environment, where every program that is started would find it.

    Raises:
        UsageError: none came.
    """
    given = os.environ.pop(_TOKEN, None)
    if from_stdin:
        given = sys.stdin.readline().strip()
        if not given:
            raise UsageError("no token came by standard input")
    return given or None


def _show(rows: list[Row], *, as_json: bool, planning: bool, env: str) -> None:
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    elif planning:
        print(format_rows(rows))
    else:
        print(f"{env} is installed, and follows main")
