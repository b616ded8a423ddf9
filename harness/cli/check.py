"""``harness check``: renders every environment and judges it."""

import argparse
import dataclasses
import os
from pathlib import Path

from harness.cli import tools
from harness.core import console, files, repository
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.policy import engine, report
from harness.policy.report import Report
from harness.render import tree
from harness.render.renderer import Renderer
from harness.review import comment

_FORMATS = {
    "text": report.as_text,
    "json": report.as_json,
    "sarif": report.as_sarif,
    "junit": report.as_junit,
    "github": report.as_github,
}


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="values that are UNSET are findings")
    parser.add_argument("--format", choices=_FORMATS, default="text", help="of what is printed")
    parser.add_argument("--explain", metavar="RULE", help="why a rule is there, and how to obey it")
    parser.add_argument("--server", action="store_true", help="ask a real API server too (40 s)")
    parser.add_argument(
        "--since", metavar="COMMIT", help="leave a pull request's comment: what changes, too"
    )
    parser.add_argument("--unset", action="store_true", help="list the values that are UNSET")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; leave them under build/check as JSON, SARIF and JUnit."""
    if args.explain:
        return _explain(args.explain)
    here = repository.find()
    tools.set_up(here)
    if args.since:
        tree.at_commit(here, args.since)  # a wrong call is told before anything is judged
    found = engine.check(here, strict=args.strict)
    if args.server:
        from harness.local_cluster import (
            admission,  # the kubernetes client: a check without it is fast
        )

        refused = admission.findings(here)
        found = dataclasses.replace(found, findings=(*found.findings, *refused))
    report.write(found, here.build / "check")
    if args.since:
        _comment(here, found, args.since)
    print(_FORMATS["json" if args.json else args.format](found))
    if args.unset:
        for each in found.unset:
            console.note(f"{each.location}: {each.key}")
    return 0 if found.passed else 1


def _comment(here: Repository, found: Report, since: str) -> None:
    """build/check/comment.md, and where GitHub shows the summary of a job, there too."""
    text = comment.page(found, list(comment.pairs(Renderer(here), since)), since)
    files.write(here.build / "check" / "comment.md", text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)


def _explain(rule: str) -> int:
    known = engine.load_rules()
    if rule not in known:
        raise UsageError(
            f"no rule {rule!r}{did_you_mean(rule, known)}", hint="docs/rules.md lists all rules"
        )
    print(report.explain(known[rule]))
    return 0
