"""``harness models record``: the answers of a running server become a model's right ones."""

import argparse
import mimetypes
import os
from pathlib import Path
from urllib.parse import urlsplit

from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the model, its requests, and the server."""
    add = parser.add_argument
    add("model", metavar="NAME", help="the model, as in models/NAME")
    add("files", nargs="+", type=Path, metavar="FILE", help="a request's body; one sample each")
    add("--url", default="http://127.0.0.1:8080", help="inference address (default: %(default)s)")
    add("--content-type", help="of the requests (default: by the file's name)")
    add("--name", help="of the sample, with a single FILE (default: the file's name)")
    add("--rounds", type=int, default=3, help="at each number of requests at once (default: 3)")
    add("--token-env", metavar="VARIABLE", help="variable with the token for Authorization")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from harness.models import record

    server = record.Server(_url(args.url), _headers(args.token_env))
    if args.rounds < record.ROUNDS:
        raise UsageError(f"--rounds must be {record.ROUNDS} or more: fewer show no spread")
    if args.name and len(args.files) > 1:
        raise UsageError("--name is for a single FILE")
    requests = [
        record.Request(
            args.name or record.sample_name(path),
            path,
            args.content_type or mimetypes.guess_type(path)[0] or "application/octet-stream",
        )
        for path in args.files
    ]
    with console.step(f"ask {args.url} about {args.model}"):
        derived = record.record(find_repository(), args.model, requests, server, args.rounds)
    for each in derived:
        if each.varying:
            console.note(f"! {each.name}: not checked, since it varies: {', '.join(each.varying)}")
    if args.json:
        print(record.as_json(derived))
    else:
        print("\n".join(record.describe(each) for each in derived))
        print(f"next: read models/{args.model}/recorded.yaml, then `harness models build`")
    return 0


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--url {url}: not an http:// or https:// address")
    return url


def _headers(variable: str | None) -> dict[str, str]:
    if variable is None:
        return {}
    if not (token := os.environ.get(variable, "")):
        raise UsageError(f"the variable {variable} is not set")
    return {"Authorization": f"Bearer {token}"}
