"""``harness event``: is this what Flux announces of a sync?"""

import argparse
import json
import os
from dataclasses import asdict

from harness.core import repository
from harness.core.errors import UsageError
from harness.kubernetes import event

_VARIABLE = "FLUX_EVENT"


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help="the environment that it should come from")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge the event in the variable FLUX_EVENT: a workflow's payload never meets a shell."""
    payload = os.environ.get(_VARIABLE)
    if not payload:
        raise UsageError(f"{_VARIABLE} is empty", hint="it holds github.event.client_payload")
    sync = event.read(payload, repository.find(), args.env)
    if args.json:
        print(json.dumps(asdict(sync), indent=2))
    else:
        print(f"{args.env}: {sync.applied_by} applied {sync.commit or 'a chart'}")
    return 0
