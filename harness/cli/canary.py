"""``harness canary``: what decides about a canary besides its figures."""

import argparse

from harness.canary import gate
from harness.cli import options
from harness.core import console
from harness.core.repository import find as find_repository


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add whose samples are sent, where it listens, and where the canaries are."""
    options.add_env(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8099, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--url", default=gate.CANARY, help="address of a group's canary (default: its Service)"
    )
    parser.set_defaults(run=_gate)


def _gate(args: argparse.Namespace) -> int:
    served = gate.samples_by_group(find_repository(), args.env)
    with gate.serving(served, (args.host, args.port), args.url) as server:
        host, port = server.server_address[:2]
        console.note(f"answers Flagger at http://{host!s}:{port}/ until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.note("stopped")
    return 0
