"""``harness event``: whether FLUX_EVENT is what Flux sends after a reconciliation."""

import argparse
import json
import os
from dataclasses import asdict

from harness.cli import options
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.kubernetes import event

_VARIABLE = "FLUX_EVENT"


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the event in the variable FLUX_EVENT: a workflow's payload never meets a shell."""
    payload = os.environ.get(_VARIABLE)
    if not payload:
        raise UsageError(f"{_VARIABLE} is empty", hint="it holds github.event.client_payload")
    reconciliation = event.read(payload, find_repository(), args.env)
    if args.json:
        print(json.dumps(asdict(reconciliation), indent=2))
    else:
        print(
            f"{args.env}: {reconciliation.applied_by} applied {reconciliation.commit or 'a chart'}"
        )
    return 0
