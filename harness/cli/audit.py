"""``harness audit``: known vulnerabilities of the parts of an image or environment."""

import argparse
import datetime
import json
import sys
from pathlib import Path

from harness import image_sets, set_environment
from harness.audit import bom, java, library, report, scanner, verdict
from harness.core import console, files
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.image_sets import DEFAULT, ImageSet
from harness.jars import JarsError, Unreachable, fetch, lock
from harness.jars.lock import Jar

_PINNED = Path("apps/torchserve/image/jars.lock")
_BUNDLED = library.FILE.with_name("bundled.lock")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the files, the database and the severity."""
    parser.add_argument(
        "--set", default=DEFAULT, help="image set whose image it is (default: %(default)s)"
    )
    parser.add_argument(
        "--root",
        type=Path,
        help="folder with an image's files (default: the Python environment of the set)",
    )
    parser.add_argument(
        "--sbom",
        type=Path,
        metavar="FILE",
        help="Trivy's CycloneDX bill of materials of it (default: read its packages)",
    )
    parser.add_argument(
        "--db",
        type=Path,
        default=scanner.database(),
        help="folder with Trivy's trivy.db and metadata.json (default: %(default)s)",
    )
    parser.add_argument(
        "--severity",
        choices=scanner.SEVERITIES,
        default="HIGH",
        help="lowest severity at which a fixable vulnerability fails (default: %(default)s)",
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help="write harness/audit/libraries.json from bundled.lock instead (fetches its JARs)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write sbom.cdx.json and report.json below build/audit, and print the open vulnerabilities."""
    repository = find_repository()
    image_set = image_sets.find(repository.root, args.set)
    root = args.root or _environment(repository, image_set)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder", hint="--root FOLDER with an image's files")
    if args.index:
        return _index(repository, root, as_json=args.json)
    libraries = java.find(root, (*_read(repository.root / _PINNED), *_read(_BUNDLED)))
    base = bom.load(args.sbom) if args.sbom else scanner.catalog(repository, root)
    materials = bom.with_java(base, libraries.parts)
    folder = repository.build / "audit" / ("" if image_set.is_default else image_set.name)
    files.write(folder / "sbom.cdx.json", json.dumps(materials, indent=2) + "\n")
    console.note(f"bill of materials: {folder / 'sbom.cdx.json'}")
    matches = scanner.match(repository, materials, args.db)
    shared = verdict.load(repository.root / verdict.FILE)
    of_set = [] if image_set.is_default else verdict.load(repository.root / image_set.verdicts)
    today = datetime.datetime.now(datetime.UTC).date()
    # What decides about a part of the default's image need not decide anything about a set's.
    may_be_unused = () if image_set.is_default else shared
    result = report.evaluate(
        materials, libraries, matches, [*of_set, *shared], args.severity, today, may_be_unused
    )
    text = json.dumps(report.as_json(result), indent=2)
    files.write(folder / "report.json", text + "\n")
    print(text if args.json else report.as_text(result))
    return 0 if result.passed else 1


def _environment(repository: Repository, image_set: ImageSet) -> Path:
    """The environment of a set; the default's is the harness's own."""
    if image_set.is_default:
        return Path(sys.prefix)
    return set_environment.python(repository, image_set).parent.parent


def _index(repository: Repository, root: Path, *, as_json: bool) -> int:
    stock = next(root.rglob("ts/frontend/model-server.jar"), None)
    if stock is None:
        raise UsageError(f"no TorchServe below {root}", hint="--root FOLDER with an image's files")
    folder = repository.build / "audit" / "jars"
    try:
        fetch.fetch(_BUNDLED, folder)
    except Unreachable as error:
        raise HarnessError(str(error)) from error
    except JarsError as error:
        raise InputError(str(error)) from error
    libraries = java.known_libraries(_read(_BUNDLED), folder, stock)
    changed = files.write(library.FILE, library.save(libraries))
    row = {"file": str(library.FILE), "libraries": len(libraries), "changed": changed}
    text = f"{library.FILE}: {len(libraries)} libraries, {'written' if changed else 'unchanged'}"
    print(json.dumps(row, indent=2) if as_json else text)
    return 0


def _read(path: Path) -> tuple[Jar, ...]:
    try:
        return lock.read(path)
    except JarsError as error:
        raise InputError(str(error)) from error
