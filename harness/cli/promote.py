"""``harness promote``: points an environment at the commit that another one proved."""

import argparse
import contextlib
import datetime
import json
from pathlib import Path

from harness.attestation import signature
from harness.cli import tools
from harness.core import console, files, repository
from harness.core.errors import UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.kubernetes import api
from harness.kubernetes.api import Api
from harness.local_cluster import local
from harness.promotion import collect, commit_message, evidence_store, promote, running
from harness.promotion.branch import Branch, Upstream, upstream
from harness.promotion.gate_inputs import PromotionOptions
from harness.promotion.promote import Promotion
from harness.promotion.running import Running
from harness.settings import gates as gate_settings
from harness.settings.gates import Gates


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", default="staging", help="that proved it (staging)")
    parser.add_argument("--to", dest="target", default="production", help="that moves (production)")
    parser.add_argument("--commit", default="", help="what moves (what the source runs)")
    parser.add_argument("--context", help="the source's cluster, of KUBECONFIG")
    parser.add_argument("--look", type=Path, metavar="FILE", help="only write what it runs there")
    parser.add_argument("--seen", type=Path, metavar="FILE", help="what --look wrote, instead")
    parser.add_argument("--evidence", type=Path, metavar="FOLDER", help="instead of the bucket")
    parser.add_argument("--key", type=Path, metavar="FILE", help="an SSH key: signs the evidence")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="DANGER", help="one danger, by its name"
    )
    parser.add_argument("--override-freeze", default="", metavar="REASON", help="promote anyway")
    parser.add_argument("--downgrade", action="store_true", help="an older commit is meant")
    parser.add_argument("--replace", action="store_true", help="give up what waits on the branch")
    parser.add_argument("--push", action="store_true", help="push the branch to origin")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every gate; commit on a branch where all are passed."""
    here = repository.find()
    gates = gate_settings.load(here, args.target)
    if gates.from_ != args.source:
        raise UsageError(f"{args.target} takes releases from {gates.from_}, not {args.source}")
    if args.look:
        return _look(here, args)
    shared = upstream(Git(here.root))
    with signature.reusable(args.key) if args.key else contextlib.nullcontext() as key:
        if key:  # before any long work: a key that does not count would be found out at the merge
            now = datetime.datetime.now(datetime.UTC)
            collect.signers(shared).require(key, signature.RELEASE, now)
        tools.set_up(here)
        promotion = _promote(here, shared, gates, args, key)
    print(json.dumps(as_data(promotion), indent=2) if args.json else _text(promotion))
    return 0 if promotion.commit else 1


def _promote(
    here: Repository, shared: Upstream, gates: Gates, args: argparse.Namespace, key: Path | None
) -> Promotion:
    """Evaluate every gate; if all are passed, leave the branch and the pull request's text."""
    options = PromotionOptions(
        args.target, args.commit, tuple(args.accept), args.override_freeze, args.downgrade
    )
    with console.step(f"ask {args.source}, its evidence, and what {args.target} has"):
        inputs = collect.collect(
            shared,
            here,
            gates,
            seen(here, args),
            evidence_store.find(here, args.source, args.evidence),
            options,
        )
    branch = Branch.of(shared, args.target, "promote")
    promotion = promote.promote(here, inputs, branch, key, replace=args.replace)
    if promotion.commit and args.push:
        branch.push(promotion.commit)
    if promotion.commit:
        path = here.build / "promote" / f"{args.target}.md"
        files.write(
            path,
            commit_message.pull_request(
                shared.git.run("log", "-1", "--format=%B", promotion.commit)
            ),
        )
        console.note(f"the pull request's text: {path.relative_to(here.root)}")
    return promotion


def _look(here: Repository, args: argparse.Namespace) -> int:
    there = running.observe(cluster(here, args.source, args.context), here)
    running.write(there, args.look)
    text = f"{args.source} runs {there.commit}"
    print(json.dumps({"commit": there.commit}) if args.json else text)
    return 0


def seen(here: Repository, args: argparse.Namespace) -> Running:
    """What the source's cluster runs: as somebody saw it before, or as it is now."""
    if args.seen:
        return running.read(args.seen)
    return running.observe(cluster(here, args.source, args.context), here)


def cluster(here: Repository, env: str, context: str | None) -> Api:
    """The cluster of an environment: a local one of its name, else of KUBECONFIG."""
    there = None if context else local.find(here, env)
    return there.api if there and there.alive else api.connect(context=context)


def as_data(promotion: Promotion) -> dict[str, object]:
    """A promotion's result, for JSON."""
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
    lines = [
        f"{evidence.commit[:12]} → {evidence.environment} (release {evidence.digest[:12]})",
        "",
    ]
    for gate in evidence.gates:
        lines.append(f"  {'✓' if gate.passed else '✗'} {gate.name:{width}}  {gate.found}")
        if gate.hint:
            lines.append(f"    {'':{width}}  → {gate.hint}")
    if promotion.commit:
        how = "new" if promotion.changed else "already existed"
        lines += [
            "",
            f"branch {promotion.branch} at {promotion.commit[:12]} ({how}): open a pull request",
        ]
    else:
        lines += ["", f"refused: {', '.join(gate.name for gate in promotion.failed_gates)}"]
    return "\n".join(lines)
