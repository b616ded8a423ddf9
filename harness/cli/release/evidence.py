"""``harness evidence``: signs a report and keeps it where promotions look."""

import argparse
import json
from pathlib import Path

from harness.attestation.signature import SIGNERS, Signers
from harness.core import repository
from harness.core.errors import UsageError
from harness.promotion import evidence_store


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["add"], help="add: sign, and put into the store")
    parser.add_argument("report", type=Path, help="a report.json of loadtest or smoke")
    parser.add_argument("--env", default="staging", help="what the report is about (staging)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="an SSH key that may sign")
    parser.add_argument("--unsigned", action="store_true", help="without a signature")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="instead of the bucket")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Put the report into the store, and say under which name."""
    if (args.key is None) != args.unsigned:
        raise UsageError("either --key FILE or --unsigned")
    here = repository.find()
    here.cluster(args.env)
    store = evidence_store.find(here, args.env, args.evidence)
    listed = here.root / SIGNERS
    signers = Signers(listed.read_text() if listed.is_file() else "")
    proof = evidence_store.add(store, args.env, args.report, args.key, signers)
    print(json.dumps({"name": proof.name, "sha256": proof.sha256}) if args.json else proof.name)
    return 0
