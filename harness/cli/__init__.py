"""The ``harness`` command: a module or package per verb, whose ``register`` adds its options.

The result goes to stdout, progress to stderr. ``--json`` prints the same result as JSON.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import old_spellings, parser
from harness.core import console
from harness.core.errors import HarnessError, InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code (``harness.core.errors`` has what each means).
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:
            console.note("interrupted")
            return 130
        finally:
            console.flush()
    except BrokenPipeError:
        if not console.discard_unread():
            raise
        return 141  # as if the signal had ended us


def _run(words: Sequence[str]) -> int:
    words, replaced = old_spellings.translate(words)
    for old, new in replaced:
        console.note(f"! `{old}` is now `{new}`; the old spelling works until {old_spellings.END}")
    args = parser.parse(words)
    try:
        code: int = args.run(args)
    except HarnessError as error:
        return _report(error, args)
    except OSError as error:
        if error.filename is None:  # of no file: of a connection, which is a bug to catch there
            raise
        reason = error.strerror or type(error).__name__
        return _report(HarnessError(reason, at=Path(os.fsdecode(error.filename))), args)
    return code


def _report(error: HarnessError, args: argparse.Namespace) -> int:
    """Say an error to people, and to the program that reads the result in its format."""
    console.note(f"✗ {error}")
    if "as_error" in args:
        if text := args.as_error(args, error):
            print(text)
    elif args.json:
        several = error.problems if isinstance(error, InputError) else ()
        at = error.at or next((each.location for each in several), None)
        answer = {
            "error": error.message,
            "at": at and str(at),
            "hint": error.hint,
            "exit": error.exit_code,
        }
        print(json.dumps(answer, indent=2))
    return error.exit_code
