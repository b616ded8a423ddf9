"""The ``harness`` command: one module a verb, each with ``register`` and the call it makes.

The verdict goes to stdout, progress to stderr. ``--json`` prints the same answer as JSON.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

from harness.core import console
from harness.core.errors import HarnessError

# name → its line in --help. The module is imported when its verb is called: torch and locust
# take seconds that `harness --help` and `harness check` must not pay.
VERBS: dict[str, str] = {
    "demo": "models → snapshot → TorchServe → load test → report, on this machine",
    "check": "render every environment and judge it",
    "render": "print an environment as its cluster will hold it",
    "diff": "what a change does to an environment, the dangerous first",
    "generate": "write the chart's schema, README and version from its values",
    "init": "fill in what only the owner of a cluster knows",
    "image": "write which serving image runs",
    "audit": "the known holes of what an image is made of, and what was decided about them",
    "models": "build, lock, verify and push the model archives",
    "snapshot": "write config.properties and model-files.yaml, or import an old one",
    "serve": "run the real TorchServe on this machine",
    "loadtest": "put a load profile on an endpoint and judge it",
    "bootstrap": "from an empty AWS account to the first sync, step by step",
    "promote": "point an environment at the commit that another one proved",
    "rollback": "point an environment back at a release that it ran before",
    "releases": "what an environment ran when, with which figures",
    "release": "copy what a release needs to another environment",
    "evidence": "sign a report and keep it where promotions look",
    "freeze": "whether something may be promoted now",
    "smoke": "live checks of an installation, with the next command for each that fails",
    "efs": "the file system behind the model store: plan, apply, status, destroy",
    "cluster": "Kubernetes and Flux on this machine, following the working tree",
    "status": "what Flux applied to a cluster, what is not ready and why",
    "event": "is this what Flux announces of a sync?",
    "notes": "what the last move of a pointer brought to an environment",
    "tools": "build the pinned external programs and the schemas",
}

_EPILOG = """exit codes: 0 good · 1 check failed · 2 usage error ·
3 could not evaluate (something is missing, or the run is invalid)"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Each verb on a line with what it does; argparse leaves the longest option that much room."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, VERBS)) + self._indent_increment * 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit code (see the package's docstring).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Runs TorchServe on Kubernetes by GitOps, and proves each change.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    called = next((word for word in words if word in VERBS), None)
    for name, text in VERBS.items():
        sub = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
        if name == called:
            importlib.import_module(f"harness.cli.{name}").register(sub)
            sub.add_argument("--json", action="store_true", help="print the answer as JSON")
    args = parser.parse_args(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except HarnessError as error:
        return _refuse(error, as_json=args.json)
    except BrokenPipeError:  # `harness diff … | head` has read what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as if the signal had ended us
    except KeyboardInterrupt:
        console.note("interrupted")
        return 130
    return code


def _refuse(error: HarnessError, *, as_json: bool) -> int:
    console.note(f"✗ {error}")
    if as_json:
        at = str(error.at) if error.at else None
        answer = {"error": error.message, "at": at, "hint": error.hint, "exit": error.exit_code}
        print(json.dumps(answer, indent=2))
    return error.exit_code
