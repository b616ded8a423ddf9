"""``harness snapshot``: write the generated files of TorchServe, check them, import old ones."""

import argparse
import difflib
import json
from dataclasses import asdict
from pathlib import Path

from harness.core import console, document, files, repository
from harness.core.errors import UsageError
from harness.models.catalog import load_catalog
from harness.snapshot import config, importer


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness snapshot`` and ``harness snapshot import``."""
    parser.add_argument("action", nargs="?", choices=["import"], help="read FILE, write models/")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a config.properties")
    parser.add_argument("--env", help="one environment (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 and a diff if stale")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="instead of models/lock.yaml")
    parser.add_argument("--force", action="store_true", help="import: replace ENV's serving.yaml")
    parser.set_defaults(run=_snapshot)


def _snapshot(args: argparse.Namespace) -> int:
    if args.action:
        return _import(args)
    checkout = repository.find()
    found = checkout.root.glob("apps/torchserve/*/serving.yaml")
    environments = [args.env] if args.env else sorted(path.parent.name for path in found)
    if not environments:
        raise UsageError("no environment has a serving.yaml", at=checkout.root / "apps/torchserve")
    stale: dict[Path, str] = {}
    for env in environments:
        stale |= config.stale(checkout, env, args.lock)
    if args.json:
        names = [str(path.relative_to(checkout.root)) for path in stale]
        print(json.dumps({"environments": environments, "stale": names}, indent=2))
    elif args.check:
        print("".join(_diff(path, text) for path, text in stale.items()) or "fresh\n", end="")
    if args.check:
        return 1 if stale else 0
    for path, text in stale.items():
        files.write(path, text)
        console.note(f"wrote {path.relative_to(checkout.root)}")
    return 0


def _diff(path: Path, text: str) -> str:
    old = document.read_text(path) if path.is_file() else ""
    lines = old.splitlines(keepends=True), text.splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, str(path), f"{path} (fresh)"))


def _import(args: argparse.Namespace) -> int:
    if not args.file:
        raise UsageError("which file?", hint="harness snapshot import FILE")
    checkout = repository.find()
    target = checkout.app(args.env) / "serving.yaml" if args.env else None
    if target and target.exists() and not args.force:
        raise UsageError("it is there already", at=target, hint="--force replaces it")
    found = importer.read(args.file)
    kept = importer.already_there(checkout, found)
    written = importer.write_models(checkout, found)
    serving = found.serving_yaml(load_catalog(checkout.models))
    if target and files.write(target, serving):
        written.append(target)
    remarks = [asdict(remark) for remark in (*found.remarks, *kept)]
    names = [str(path.relative_to(checkout.root)) for path in written]
    if args.json:
        print(json.dumps({"written": names, "serving": serving, "remarks": remarks}, indent=2))
        return 0
    for name in names:
        console.note(f"wrote {name}")
    for remark in remarks:
        line = f" (line {remark['line']})" if remark["line"] else ""
        console.note(f"not carried over: {remark['key']}{line}: {remark['why']}")
    print(serving, end="")
    return 0
