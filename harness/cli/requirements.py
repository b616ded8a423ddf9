"""``harness requirements``: the Python packages of models, image and harness, as locks."""

import argparse
import json

from harness.core import console
from harness.core.repository import find as find_repository
from harness.image_sets import DEFAULT

_MANY = 12  # packages of a set that nobody had: a list of all is the lock itself


def register(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets pins move."""
    parser.add_argument(
        "--upgrade",
        nargs="+",
        default=[],
        metavar="PACKAGE",
        help="packages that may move to newer versions, or `all` (default: no pin moves)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from harness.models import packages

    repository = find_repository()
    # `make requirements UPGRADE="a b"` gives them as one argument: no shell may read what it says.
    upgrades = [name for each in args.upgrade for name in each.split()]
    with console.step("resolve the Python packages"):
        resolved = packages.resolve(repository, upgrades)
    written = [str(path.relative_to(repository.root)) for path in resolved.written]
    if args.json:
        changes = {
            name: [{"name": c.name, "old": c.old, "new": c.new} for c in of_set]
            for name, of_set in resolved.images.items()
        }
        rows = {"written": written, "image": changes[DEFAULT], "sets": changes}
        print(json.dumps(rows, indent=2))
        return 0
    print("\n".join(f"wrote {path}" for path in written) or "every lock is up to date")
    changed = {name: of_set for name, of_set in resolved.images.items() if of_set}
    for name, of_set in changed.items():
        print("in the serving image:" if name == DEFAULT else f"in the image of set {name}:")
        is_new = not any(change.old for change in of_set) and len(of_set) > _MANY
        lines = [f"{len(of_set)} packages"] if is_new else [str(change) for change in of_set]
        print("\n".join(f"  {line}" for line in lines))
    if changed:
        print("! a new image replaces the pods of every group that runs it")
        print("next: make setup, make test; then build the image and pin it (make image-pin)")
    elif written:
        print("next: make setup")
    return 0
