"""``harness promote``: points an environment at the commit that another one proved."""

import argparse
import contextlib
import datetime
import json
from pathlib import Path

from harness import gates
from harness.attestation import signature
from harness.cli import tools
from harness.cluster import api, local
from harness.cluster.api import Api
from harness.core import console, files, repository
from harness.core.errors import UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.promotion import evidence_store, gather, message, promote, running
from harness.promotion.branch import Branch, Upstream, upstream
from harness.promotion.case import Wish
from harness.promotion.promote import Promotion
from harness.promotion.running import Running


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
    wanted = gates.load(here, args.target)
    if wanted.from_ != args.source:
        raise UsageError(f"{args.target} takes releases from {wanted.from_}, not {args.source}")
    if args.look:
        return _look(here, args)
    shared = upstream(Git(here.root))
    with signature.kept(args.key) if args.key else contextlib.nullcontext() as key:
        if key:  # before any long work: a key that does not count would be found out at the merge
            now = datetime.datetime.now(datetime.UTC)
            gather.signers(shared).require(key, signature.RELEASE, now)
        tools.set_up(here)
        done = _promoted(here, shared, args, key)
    print(json.dumps(as_data(done), indent=2) if args.json else _text(done))
    return 0 if done.made else 1


def _promoted(
    here: Repository, shared: Upstream, args: argparse.Namespace, key: Path | None
) -> Promotion:
    """Ask every gate, and leave the branch and the pull request's text where all are passed."""
    wish = Wish(tuple(args.accept), args.override_freeze, args.downgrade)
    with console.step(f"ask {args.source}, its evidence, and what {args.target} has"):
        case = gather.gather(
            shared,
            here,
            args.target,
            seen(here, args),
            evidence_store.find(here, args.source, args.evidence),
            wish,
            commit=args.commit,
        )
    branch = Branch.of(shared, args.target, "promote")
    done = promote.promote(here, case, branch, key, replace=args.replace)
    if done.made and args.push:
        branch.push(done.made)
    if done.made:
        path = here.build / "promote" / f"{args.target}.md"
        files.write(
            path, message.pull_request(shared.git.run("log", "-1", "--format=%B", done.made))
        )
        console.note(f"the pull request's text: {path.relative_to(here.root)}")
    return done


def _look(here: Repository, args: argparse.Namespace) -> int:
    there = running.look(cluster(here, args.source, args.context), here)
    running.write(there, args.look)
    text = f"{args.source} runs {there.commit}"
    print(json.dumps({"commit": there.commit}) if args.json else text)
    return 0


def seen(here: Repository, args: argparse.Namespace) -> Running:
    """What the source's cluster runs: as somebody saw it before, or as it is now."""
    if args.seen:
        return running.read(args.seen)
    return running.look(cluster(here, args.source, args.context), here)


def cluster(here: Repository, env: str, context: str | None) -> Api:
    """The cluster of an environment: a local one of its name, else of KUBECONFIG."""
    there = None if context else local.find(here, env)
    return there.api if there and there.alive else api.connect(context=context)


def as_data(done: Promotion) -> dict[str, object]:
    """What became of it, for JSON."""
    return {
        "promoted": bool(done.made),
        "branch": done.branch,
        "commit": done.made,
        "changed": done.changed,
        "evidence": done.evidence.model_dump(mode="json"),
    }


def _text(done: Promotion) -> str:
    told = done.evidence
    width = max(len(gate.name) for gate in told.gates)
    lines = [f"{told.commit[:12]} → {told.environment} (release {told.digest[:12]})", ""]
    for gate in told.gates:
        lines.append(f"  {'✓' if gate.passed else '✗'} {gate.name:{width}}  {gate.found}")
        if gate.hint:
            lines.append(f"    {'':{width}}  → {gate.hint}")
    if done.made:
        how = "made" if done.changed else "was there"
        lines += ["", f"branch {done.branch} at {done.made[:12]} ({how}): open a pull request"]
    else:
        lines += ["", f"refused: {', '.join(gate.name for gate in done.refused)}"]
    return "\n".join(lines)
