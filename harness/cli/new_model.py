"""``harness models new``: writes a model of a file, a folder or an address."""

import argparse
import json

from harness.core.repository import find as find_repository


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the name, and what the model is made of."""
    parser.add_argument("name", metavar="NAME", help="of the model, and of its folder in models/")
    parser.add_argument(
        "--from",
        dest="origin",
        required=True,
        metavar="SOURCE",
        help="a file or folder, an address (hf://owner/name, s3://…, https://…) or PACKAGE:PATH",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from harness.models import new

    repository = find_repository()
    model = new.write(repository, args.name, args.origin)
    written = [str(path.relative_to(repository.root)) for path in model.written]
    if args.json:
        print(json.dumps({"kind": model.kind, "written": written, "next": model.steps}, indent=2))
        return 0
    lines = [f"{args.origin}: {model.kind}", *(f"wrote {path}" for path in written), "next:"]
    print("\n".join([*lines, *(f"  {step}" for step in model.steps)]))
    return 0
