"""``harness release list``: the releases of an environment with their figures."""

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path

from harness.cli import options, tools
from harness.core import console, files
from harness.core.errors import InputError, UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.promotion import evidence_store, overview, releases
from harness.promotion.evidence_store import EvidenceStore
from harness.promotion.overview import Side
from harness.promotion.releases import Record
from harness.settings import gates


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.add_argument(
        "--last", type=int, default=10, metavar="N", help="number of releases (default: 10)"
    )
    options.add_evidence_folder(parser)
    parser.add_argument(
        "--html",
        action="store_true",
        help="also write build/releases/ENV.html, next to the environment that proves them",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per release, newest first."""
    repository = find_repository()
    repository.cluster(args.env)
    if args.last < 1:
        raise UsageError(f"--last {args.last} is less than 1")
    tools.set_up(repository)
    records = releases.recent(
        repository, args.env, _store(repository, args.env, args.evidence), args.last
    )
    if args.html:
        console.note(str(_page(repository, args, records)))
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in records], indent=2, default=_plain))
    else:
        print("\n".join(map(_line, records)) or f"{args.env} has had no release yet")
    return 0


def _page(repository: Repository, args: argparse.Namespace, records: list[Record]) -> Path:
    proves = gates.load(repository, args.env).from_
    store = _store(repository, proves, args.evidence)
    first = Side(proves, releases.recent(repository, proves, store, args.last))
    pinned = records[0].commit if records else None
    ahead = Git(repository.root).log(f"{pinned}..HEAD") if pinned else []
    path = repository.build / "releases" / f"{args.env}.html"
    files.write(path, overview.render(first, Side(args.env, records), ahead))
    return path


def _store(repository: Repository, env: str, folder: Path | None) -> EvidenceStore | None:
    """Return the evidence store, or None if the environment has no bucket yet."""
    with contextlib.suppress(InputError):
        return evidence_store.find(repository, env, folder)
    return None


def _line(release: Record) -> str:
    p95 = "-" if release.p95 is None else f"{release.p95:,.1f} ms"
    signed = f"signed by {release.signed_by}" if release.signed_by else "not signed"
    return (
        f"{release.since}  {release.commit[:12]}  release {release.digest[:12] or '-':12}  "
        f"p95 {p95:>10}  {release.by}, {signed}: {release.why}"
    )


def _plain(value: object) -> object:
    return value.model_dump() if hasattr(value, "model_dump") else str(value)
