"""``harness audit``: the known holes of what an image or an environment is made of."""

import argparse
import datetime
import json
import sys
from pathlib import Path

from harness.audit import bom, java, library, report, scanner, verdict
from harness.core import console, files, repository
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.jars import JarsError, Unreachable, fetch, lock
from harness.jars.lock import Jar

_PINNED = Path("apps/torchserve/image/jars.lock")
_BUNDLED = library.FILE.with_name("bundled.lock")


def register(parser: argparse.ArgumentParser) -> None:
    """Add what to look at, and by which database."""
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(sys.prefix),
        help="an image's files, unpacked (default: the environment that harness runs in)",
    )
    parser.add_argument(
        "--sbom",
        type=Path,
        metavar="FILE",
        help="what Trivy cataloged of it, as CycloneDX, in place of a look at its packages",
    )
    parser.add_argument(
        "--db",
        type=Path,
        default=scanner.database(),
        help="the folder with Trivy's trivy.db and metadata.json (default: %(default)s)",
    )
    parser.add_argument(
        "--severity",
        choices=scanner.SEVERITIES,
        default="HIGH",
        help="from which on a vulnerability that is fixed somewhere stops (default: HIGH)",
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help="instead, write harness/audit/libraries.json from bundled.lock (fetches its JARs)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write build/audit/sbom.cdx.json and report.json, and print what is open."""
    here = repository.find()
    if not args.root.is_dir():
        raise UsageError(f"{args.root} is no folder", hint="--root names an image's files")
    if args.index:
        return _index(here, args.root)
    libraries = java.find(args.root, (*_read(here.root / _PINNED), *_read(_BUNDLED)))
    base = bom.load(args.sbom) if args.sbom else scanner.catalog(here, args.root)
    materials = bom.with_java(base, libraries.parts)
    folder = here.build / "audit"
    files.write(folder / "sbom.cdx.json", json.dumps(materials, indent=2) + "\n")
    console.note(f"bill of materials: {folder / 'sbom.cdx.json'}")
    matches = scanner.match(here, materials, args.db)
    entries = verdict.load(here.root / verdict.FILE)
    today = datetime.datetime.now(datetime.UTC).date()
    result = report.evaluate(materials, libraries, matches, entries, args.severity, today)
    text = json.dumps(report.as_json(result), indent=2)
    files.write(folder / "report.json", text + "\n")
    print(text if args.json else report.as_text(result))
    return 0 if result.passed else 1


def _index(here: Repository, root: Path) -> int:
    stock = next(root.rglob("ts/frontend/model-server.jar"), None)
    if stock is None:
        raise UsageError(f"there is no TorchServe below {root}", hint="--root names where it is")
    folder = here.build / "audit" / "jars"
    try:
        fetch.fetch(_BUNDLED, folder)
    except Unreachable as error:
        raise HarnessError(str(error)) from error
    except JarsError as error:
        raise InputError(str(error)) from error
    libraries = java.known_libraries(_read(_BUNDLED), folder, stock)
    changed = files.write(library.FILE, library.save(libraries))
    print(f"{library.FILE}: {len(libraries)} libraries, {'written' if changed else 'unchanged'}")
    return 0


def _read(path: Path) -> tuple[Jar, ...]:
    try:
        return lock.read(path)
    except JarsError as error:
        raise InputError(str(error)) from error
