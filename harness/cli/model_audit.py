"""``harness models audit``: what archives need, touch, and would fail with here."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness import image_sets
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.core.suggest import did_you_mean
from harness.core.words import amount
from harness.models.build import store
from harness.models.catalog import Catalog, Model, load_catalog
from harness.models.lock import Lock, load_lock

if TYPE_CHECKING:
    from harness.models.audit import Audit, Line


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add what is looked at."""
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="ARCHIVE|NAME",
        help="a .mar, a .tar.gz or a folder; or a model of models/ (default: all that are built)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from harness.models.audit import audit, packages_of

    repository = find_repository()
    reports = []
    for path, model in _subjects(repository, args.subjects):
        with console.step(f"look into {path.name}"):
            [image, *_] = image_sets.of_model(repository.root, model.name if model else "")
            packages = packages_of(repository, image)
            reports.append(audit(path, packages, model, python=image.python))
    if args.json:
        print(json.dumps([_as_json(each) for each in reports], indent=2, default=str))
    else:
        print("\n\n".join(map(_as_text, reports)))
    return 1 if any(each.errors for each in reports) else 0


def _subjects(repository: Repository, words: list[str]) -> Iterator[tuple[Path, Model | None]]:
    catalog = load_catalog(repository.models)
    path = repository.built_models / "lock.yaml"
    built = load_lock(path) if path.is_file() else Lock()
    for word in words or built.models:
        if Path(word).exists() and word not in catalog.models:
            yield Path(word), None
        else:
            yield from _of_model(repository, catalog, built, word)


def _of_model(
    repository: Repository, catalog: Catalog, built: Lock, name: str
) -> Iterator[tuple[Path, Model | None]]:
    model = catalog.models.get(name)
    if model is None:
        raise UsageError(
            f"{name}: no such file, and no such model{did_you_mean(name, catalog.models)}",
            hint=f"an archive, or one of: {', '.join(catalog.models)}",
        )
    adopted = model.artifact.adopted
    if name in built.models:
        locked = built.models[name]
        for each in (locked, *locked.others):
            yield store(repository) / each.mar, model
    elif adopted and (path := repository.models / name / adopted.archive).exists():
        yield path, model
    else:
        raise UsageError(f"{name} is not built", hint="run `harness models build`")


def _as_text(report: "Audit") -> str:
    contents, scan = report.contents, report.scan
    size = sum(contents.files.values())
    title = f"{contents.path}: {contents.name or 'no name'} {contents.version}"
    lines = [
        f"{title}, {amount(len(contents.files), 'file')}, {size / 1e6:,.1f} MB",
        f"  handler       {contents.handler or 'none: default_service_handler'}",
        f"  settings      {_flow(contents.settings) or 'none'}",
        f"  requirements  {', '.join(contents.requirements) or 'none'}",
        f"  TorchScript   {', '.join(scan.torchscript) or 'none'}",
        f"  pickles       {', '.join(scan.pickles) or 'none'}",
    ]
    for mark, stated in (("✗", report.errors), ("!", report.warnings), ("·", report.notes)):
        lines += [f"  {mark} {line}" for line in stated]
    verdict = f"{len(report.errors)} errors, {len(report.warnings)} warnings"
    return "\n".join([*lines, f"  {verdict}"])


def _flow(settings: object) -> str:
    return json.dumps(settings, ensure_ascii=False, default=str)[1:-1]


def _as_json(report: "Audit") -> dict[str, object]:
    contents, scan = report.contents, report.scan

    def rows(lines: "tuple[Line, ...]") -> list[dict[str, str]]:
        return [{"at": line.at, "message": line.text} for line in lines]

    return {
        "archive": str(contents.path),
        "name": contents.name,
        "version": contents.version,
        "handler": contents.handler,
        "settings": contents.settings,
        "requirements": contents.requirements,
        "files": contents.files,
        "torchscript": scan.torchscript,
        "pickles": scan.pickles,
        "errors": rows(report.errors),
        "warnings": rows(report.warnings),
        "notes": rows(report.notes),
    }
