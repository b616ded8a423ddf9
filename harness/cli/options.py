"""Options that mean the same in every command; docs/cli.md has the rule behind ``--env``."""

import argparse
import sys
from pathlib import Path

from harness.core import console
from harness.core.errors import UsageError


def add_env(parser: argparse._ActionsContainer) -> None:
    """Add ``--env`` to a command that this machine can run for the environment ``local``."""
    parser.add_argument(
        "--env", default="local", help="environment, a folder of clusters/ (default: local)"
    )


def add_shared_env(parser: argparse.ArgumentParser) -> None:
    """Add ``--env`` to a command that reads or changes what others share: nothing is assumed."""
    parser.add_argument("--env", required=True, help="environment, a folder of clusters/")


def add_every_env(parser: argparse.ArgumentParser, which: str) -> None:
    """Add ``--env`` or ``--all``, which sets ``env`` to None."""
    either = parser.add_mutually_exclusive_group()
    add_env(either)
    either.add_argument("--all", dest="env", action="store_const", const=None, help=which)


def add_group(
    parser: argparse._ActionsContainer, which: str, default: str = "the only one, or torchserve"
) -> None:
    """Add ``--group``: one serving group of the environment."""
    parser.add_argument("--group", help=f"{which} (default: {default})")


def add_context(parser: argparse._ActionsContainer, whose: str = "the cluster") -> None:
    """Add ``--context``."""
    parser.add_argument(
        "--context",
        help=f"KUBECONFIG context of {whose} (default: the local cluster of that environment if "
        "one runs, else the current context)",
    )


def add_route(parser: argparse.ArgumentParser) -> None:
    """Add the two environments of a promotion."""
    parser.add_argument(
        "--from",
        dest="source",
        default="staging",
        help="environment that proved the release (default: staging)",
    )
    parser.add_argument(
        "--to",
        dest="target",
        default="production",
        help="environment to promote to (default: production)",
    )


def add_source_state(parser: argparse.ArgumentParser) -> None:
    """Add ``--source-state``, for where the source's cluster cannot be reached."""
    parser.add_argument(
        "--source-state",
        type=Path,
        metavar="FILE",
        help="what `harness release observe --save-state` wrote (default: read the cluster)",
    )


def add_evidence_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--evidence``."""
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="FOLDER",
        help="folder with the evidence (default: the environment's bucket)",
    )


def add_branch(parser: argparse.ArgumentParser) -> None:
    """Add what happens to the branch that a command leaves."""
    parser.add_argument(
        "--replace", action="store_true", help="discard what waits on the branch already"
    )
    parser.add_argument("--push", action="store_true", help="push the branch to origin")


def confirm(env: str, what: str) -> None:
    """Have a person type the environment's name before all of ``what`` is removed.

    Raises:
        UsageError: no terminal, or something else was typed.
    """
    console.note(what)
    if not sys.stdin.isatty():
        raise UsageError(
            "no terminal to confirm on", hint="--yes removes all of this without asking"
        )
    try:
        typed = input(f"Type {env} to remove all of this: ")
    except EOFError:  # Ctrl-D
        typed = ""
    if typed != env:
        raise UsageError("not confirmed: nothing was removed")
