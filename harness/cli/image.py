"""``harness image``: which serving image every environment runs."""

import argparse
import json
import re

from harness.core import files, yamlfile
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.settings import site

_FILE = "apps/torchserve/base/helmrelease.yaml"
_KEY = ("spec", "values", "image", "digest")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the image's digest."""
    parser.add_argument("digest", metavar="DIGEST", help="sha256:… of the image in the registry")
    parser.set_defaults(run=_pin)


def _pin(args: argparse.Namespace) -> int:
    if not _DIGEST.fullmatch(args.digest):
        raise UsageError(
            f"{args.digest!r} is not a digest", hint="sha256: and 64 hexadecimal digits"
        )
    path = find_repository().root / _FILE
    changed = files.write(path, site.replace(yamlfile.read_text(path), path, _KEY, args.digest))
    if args.json:
        print(json.dumps({"file": _FILE, "digest": args.digest, "changed": changed}, indent=2))
    else:
        print(f"{_FILE}: {'now runs' if changed else 'already runs'} {args.digest}")
    return 0
