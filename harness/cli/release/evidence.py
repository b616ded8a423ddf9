"""``harness release evidence``: signs a report and stores it for promotions."""

import argparse
import json
from pathlib import Path

from harness.attestation.signature import SIGNERS, Signers
from harness.cli import options
from harness.core import yamlfile
from harness.core.repository import find as find_repository
from harness.promotion import evidence_store


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "report", type=Path, metavar="REPORT", help="report.json of a load or smoke test"
    )
    options.add_shared_env(parser)
    signer = parser.add_mutually_exclusive_group(required=True)
    signer.add_argument(
        "--key", type=Path, metavar="FILE", help="SSH key that clusters/allowed_signers lists"
    )
    signer.add_argument("--unsigned", action="store_true", help="store it without a signature")
    options.add_evidence_folder(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Store the report, and print its name in the store."""
    repository = find_repository()
    repository.cluster(args.env)
    store = evidence_store.find(repository, args.env, args.evidence)
    allowed_signers = repository.root / SIGNERS
    signers = Signers(yamlfile.read_text(allowed_signers) if allowed_signers.is_file() else "")
    proof = evidence_store.add(store, args.env, args.report, args.key, signers)
    print(json.dumps({"name": proof.name, "sha256": proof.sha256}) if args.json else proof.name)
    return 0
