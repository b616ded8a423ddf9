"""``harness status``: what Flux applied to a cluster, what is not ready and why."""

import argparse
import json

from harness.cluster import api, local, status
from harness.core import repository
from harness.core.errors import HarnessError


def register(parser: argparse.ArgumentParser) -> None:
    """Add which environment, or which cluster."""
    parser.add_argument("--env", default="local", help="its local cluster, if there is one (local)")
    parser.add_argument("--context", help="of KUBECONFIG, instead of a local cluster")
    parser.set_defaults(run=_status)


def _status(args: argparse.Namespace) -> int:
    here = repository.find()
    here.cluster(args.env)
    cluster = None if args.context else local.find(here, args.env)
    if cluster and not cluster.alive:
        raise HarnessError(f"the local cluster {args.env} has ended", hint="`make cluster`")
    found = status.look(cluster.api if cluster else api.connect(context=args.context), here)
    text = json.dumps(found.as_json(), indent=2) if args.json else status.format_screen(found)
    print(text)
    return 0 if found.ready else 1
