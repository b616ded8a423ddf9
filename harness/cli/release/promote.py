"""``harness release promote``: points an environment to the commit that another one proved."""

import argparse
import contextlib
import datetime
import json
from pathlib import Path

from harness.attestation import signature
from harness.cli import options as cli_options
from harness.cli import tools
from harness.cli.release.observe import require_route, source_state
from harness.core import console, files
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.promotion import collect, commit_message, evidence_store, promote
from harness.promotion.branch import Branch, Upstream, upstream
from harness.promotion.gate_inputs import PromotionOptions
from harness.promotion.promote import Promotion
from harness.settings.gates import Gates


def register(parser: argparse.ArgumentParser) -> None:
    cli_options.add_route(parser)
    parser.add_argument(
        "--commit", default="", help="commit to promote (default: what the source runs)"
    )
    cli_options.add_context(parser, "the source's cluster")
    cli_options.add_source_state(parser)
    cli_options.add_evidence_folder(parser)
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="SSH key that signs the evidence (default: none)"
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="DANGER",
        help="danger to accept, by its name; repeatable",
    )
    parser.add_argument(
        "--override-freeze", default="", metavar="REASON", help="reason to promote in a freeze"
    )
    parser.add_argument(
        "--downgrade", action="store_true", help="allow a commit older than the target's"
    )
    cli_options.add_branch(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every gate; commit on a branch if all have passed."""
    repository = find_repository()
    gates = require_route(repository, args)
    shared = upstream(Git(repository.root))
    with signature.reusable(args.key) if args.key else contextlib.nullcontext() as key:
        if key:  # before any long work: the merge would refuse a key that does not count
            now = datetime.datetime.now(datetime.UTC)
            collect.signers(shared).require(key, signature.RELEASE, now)
        tools.set_up(repository)
        promotion = _promote(repository, shared, gates, args, key)
    print(json.dumps(_as_data(promotion), indent=2) if args.json else _text(promotion))
    return 0 if promotion.commit else 1


def _promote(
    repository: Repository,
    shared: Upstream,
    gates: Gates,
    args: argparse.Namespace,
    key: Path | None,
) -> Promotion:
    """Evaluate the gates; if all have passed, write the branch and the pull request's text."""
    options = PromotionOptions(
        args.target, args.commit, tuple(args.accept), args.override_freeze, args.downgrade
    )
    with console.step(f"collect {args.source}'s state and evidence, and what {args.target} has"):
        inputs = collect.collect(
            shared,
            repository,
            gates,
            source_state(repository, args, gates),
            evidence_store.find(repository, args.source, args.evidence),
            options,
        )
    branch = Branch.of(shared, args.target, "promote")
    promotion = promote.promote(repository, inputs, branch, key, replace=args.replace)
    if promotion.commit and args.push:
        branch.push(promotion.commit)
    if promotion.commit:
        path = repository.build / "promote" / f"{args.target}.md"
        log = shared.git.run("log", "-1", "--format=%B", promotion.commit)
        files.write(path, commit_message.pull_request(log))
        console.note(f"text of the pull request: {path.relative_to(repository.root)}")
    return promotion


def _as_data(promotion: Promotion) -> dict[str, object]:
    return {
        "promoted": bool(promotion.commit),
        "branch": promotion.branch,
        "commit": promotion.commit,
        "changed": promotion.changed,
        "evidence": promotion.evidence.model_dump(mode="json"),
    }


def _text(promotion: Promotion) -> str:
    evidence = promotion.evidence
    width = max(len(gate.name) for gate in evidence.gates)
    title = f"{evidence.commit[:12]} → {evidence.environment} (release {evidence.digest[:12]})"
    lines = [title, ""]
    for gate in evidence.gates:
        lines.append(f"  {'✓' if gate.passed else '✗'} {gate.name:{width}}  {gate.found}")
        if gate.hint:
            lines.append(f"    {'':{width}}  → {gate.hint}")
    if promotion.commit:
        how = "created" if promotion.changed else "already exists"
        branch = f"branch {promotion.branch} at {promotion.commit[:12]} ({how})"
        lines += ["", f"{branch}: open a pull request"]
    else:
        lines += ["", f"refused: {', '.join(gate.name for gate in promotion.failed_gates)}"]
    return "\n".join(lines)
