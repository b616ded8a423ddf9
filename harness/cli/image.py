"""``harness image``: which serving image the groups of a set run, in every environment."""

import argparse
import json
import re

from harness import image_sets
from harness.core import files, yamlfile
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.image_sets import DEFAULT
from harness.settings import sets, site

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the image's digest, and its set."""
    parser.add_argument("digest", metavar="DIGEST", help="sha256:… of the image in the registry")
    parser.add_argument(
        "--set", default=DEFAULT, metavar="SET", help="image set that it is of (default: default)"
    )
    parser.set_defaults(run=_pin)


def _pin(args: argparse.Namespace) -> int:
    if not _DIGEST.fullmatch(args.digest):
        raise UsageError(
            f"{args.digest!r} is not a digest", hint="sha256: and 64 hexadecimal digits"
        )
    root = find_repository().root
    file = image_sets.find(root, args.set).release
    path = root / file
    text = site.replace(yamlfile.read_text(path), path, sets.IMAGE_DIGEST, args.digest)
    changed = files.write(path, text)
    if args.json:
        row = {"file": str(file), "set": args.set, "digest": args.digest, "changed": changed}
        print(json.dumps(row, indent=2))
    else:
        print(f"{file}: {'now runs' if changed else 'already runs'} {args.digest}")
    return 0
