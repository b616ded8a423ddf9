"""``harness canary``: what decides about a canary besides its metrics."""

import argparse
import json
import re
from pathlib import Path

from harness.canary import gate, known, shadow
from harness.canary.shadow import Shadow
from harness.cli import options, pins
from harness.core import console
from harness.core.errors import HarnessError, InputError
from harness.core.http_server import Server
from harness.core.repository import find as find_repository

_PINNED = re.compile(r"(image: \$\{REGISTRY\}/torchserve@)sha256:\w+")
_DEPLOYMENTS = tuple(f"infra/canary/configs/{name}-deployment.yaml" for name in ("gate", "shadow"))


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add whose samples are sent, where it listens, and where the pods are."""
    if action == "samples":
        parser.set_defaults(run=_samples)
        return
    if action == "pin":
        pins.add_digest(parser, "that they run")
        parser.set_defaults(run=_pin)
        return
    options.add_env(parser)
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help="what `harness canary samples` wrote (default: this tree's models)",
    )
    port = {"gate": 8099, "shadow": 8098}[action]
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--url", default=gate.CANARY, help="address of a group's canary (default: its Service)"
    )
    if action == "gate":
        parser.set_defaults(run=_gate)
        return
    parser.add_argument(
        "--primary",
        default=shadow.PRIMARY,
        metavar="URL",
        help="address of a group's pods that serve (default: their Service)",
    )
    parser.add_argument(
        "--percent",
        type=float,
        default=10,
        help="requests that are sent to both, of a hundred (default: %(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="write request and answers of the first 20 differences there (default: keep none)",
    )
    parser.set_defaults(run=_shadow)


def _samples(args: argparse.Namespace) -> int:
    repository = find_repository()
    path = repository.build / "canary" / "samples.json"
    known.write(path, {env: known.collect(repository, env) for env in repository.environments})
    file = str(path.relative_to(repository.root))
    print(json.dumps({"file": file}, indent=2) if args.json else file)
    return 0


def _pin(args: argparse.Namespace) -> int:
    def replace(text: str, path: Path) -> str:
        changed, count = _PINNED.subn(rf"\g<1>{args.digest}", text)
        if not count:
            raise InputError("no image is ${REGISTRY}/torchserve by its digest", at=path)
        return changed

    rows = pins.write(find_repository().root, _DEPLOYMENTS, args.digest, replace)
    print(json.dumps(rows, indent=2) if args.json else pins.summary(rows))
    return 0


def _gate(args: argparse.Namespace) -> int:
    groups = _groups(args)
    if unknown := gate.without_answers(groups):
        raise HarnessError(
            f"no correct answer of {', '.join(unknown)} is known",
            hint="`harness models record`, or write one under samples in its model.yaml",
        )
    return _serve(gate.serving(groups, (args.host, args.port), args.url), "answers Flagger")


def _shadow(args: argparse.Namespace) -> int:
    comparing = Shadow(_groups(args), args.percent, args.url, args.primary, args.keep)
    return _serve(shadow.serving(comparing, (args.host, args.port)), "compares answers")


def _groups(args: argparse.Namespace) -> known.Groups:
    if args.samples:
        return known.read(args.samples, args.env)
    return known.collect(find_repository(), args.env)


def _serve(server: Server, does: str) -> int:
    with server:
        host, port = server.server_address[:2]
        console.note(f"{does} at http://{host!s}:{port}/ until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.note("stopped")
    return 0
