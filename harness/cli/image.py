"""``harness image``: which serving image the groups of a set run, in every environment."""

import argparse
import json
from pathlib import Path

from harness import image_sets
from harness.cli import pins
from harness.core.repository import find as find_repository
from harness.image_sets import DEFAULT
from harness.settings import sets, site


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the image's digest, and its set."""
    pins.add_digest(parser, "in the registry")
    parser.add_argument(
        "--set", default=DEFAULT, metavar="SET", help="image set that it is of (default: default)"
    )
    parser.set_defaults(run=_pin)


def _pin(args: argparse.Namespace) -> int:
    def replace(text: str, path: Path) -> str:
        return site.replace(text, path, sets.IMAGE_DIGEST, args.digest)

    root = find_repository().root
    rows = pins.write(root, [image_sets.find(root, args.set).release], args.digest, replace)
    answer = {**rows[0], "set": args.set}
    print(json.dumps(answer, indent=2) if args.json else pins.summary(rows))
    return 0
