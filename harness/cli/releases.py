"""``harness releases``: what an environment ran when, with which figures."""

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path

from harness.cli import tools
from harness.core import console, files, repository
from harness.core.errors import InputError, UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.promotion import evidence_store, overview, releases
from harness.promotion.evidence_store import EvidenceStore
from harness.promotion.overview import Side
from harness.promotion.releases import Record
from harness.settings import gates


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", default="production", help="whose releases (production)")
    parser.add_argument("--last", type=int, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="instead of the bucket")
    parser.add_argument(
        "--html", action="store_true", help="a page with what proves it beside it, under build/"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a line a release, the newest first."""
    here = repository.find()
    here.cluster(args.env)
    if args.last < 1:
        raise UsageError(f"--last {args.last}: at least one")
    tools.set_up(here)
    found = releases.recent(here, args.env, _store(here, args.env, args.evidence), args.last)
    if args.html:
        console.note(str(_page(here, args, found)))
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2, default=_plain))
    else:
        print("\n".join(map(_line, found)) or f"{args.env} has had no release yet")
    return 0


def _page(here: Repository, args: argparse.Namespace, found: list[Record]) -> Path:
    proves = gates.load(here, args.env).from_
    store = _store(here, proves, args.evidence)
    first = Side(proves, releases.recent(here, proves, store, args.last))
    pinned = found[0].commit if found else None
    ahead = Git(here.root).log(f"{pinned}..HEAD") if pinned else []
    path = here.build / "releases" / f"{args.env}.html"
    files.write(path, overview.render(first, Side(args.env, found), ahead))
    return path


def _store(here: Repository, env: str, folder: Path | None) -> EvidenceStore | None:
    """The evidence store; None where the environment has no bucket yet."""
    with contextlib.suppress(InputError):
        return evidence_store.find(here, env, folder)
    return None


def _line(record: Record) -> str:
    p95 = "-" if record.p95 is None else f"{record.p95:,.1f} ms"
    signed = f"signed by {record.signed_by}" if record.signed_by else "not signed"
    return (
        f"{record.since}  {record.commit[:12]}  release {record.digest[:12] or '-':12}  "
        f"p95 {p95:>10}  {record.by}, {signed}: {record.why}"
    )


def _plain(value: object) -> object:
    return value.model_dump() if hasattr(value, "model_dump") else str(value)
