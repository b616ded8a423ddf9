"""``harness check``: renders every environment and evaluates the rules on it."""

import argparse
import dataclasses
import json
import os
from pathlib import Path

from harness.cli import tools
from harness.core import console, files
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.core.suggest import did_you_mean
from harness.policy import engine, repair, report
from harness.policy.renamed import current_id
from harness.policy.report import Report
from harness.policy.unset import by_command
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
    parser.add_argument(
        "--strict",
        action="store_true",
        help="count values that are UNSET as findings, but for those that a command fills in",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="text",
        help="format of the printed report (default: %(default)s)",
    )
    parser.add_argument(
        "--explain", metavar="RULE", help="print why a rule exists and how to satisfy it, and stop"
    )
    parser.add_argument(
        "--server", action="store_true", help="let a real API server validate, too (40 s)"
    )
    parser.add_argument(
        "--since",
        metavar="COMMIT",
        help="also write a pull request's comment with the changes since this commit",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="write the edits that findings name into the working tree, and check again",
    )
    parser.add_argument("--unset", action="store_true", help="list the values that are UNSET")
    parser.set_defaults(run=run, as_error=_as_error)


def run(args: argparse.Namespace) -> int:
    """Print the findings, and write them to build/check as JSON, SARIF and JUnit."""
    if args.explain:
        return _explain(args.explain, as_json=args.json or args.format == "json")
    repository = find_repository()
    tools.set_up(repository)
    if args.since:
        tree.at_commit(repository, args.since)  # a usage error before anything is evaluated
    result = engine.check(repository, strict=args.strict)
    if args.fix and _repair(repository, result):
        result = engine.check(repository, strict=args.strict)
    if args.server:
        from harness.local_cluster import (
            admission,  # the kubernetes client: a check without it is fast
        )

        refused = admission.findings(repository)
        result = dataclasses.replace(result, findings=(*result.findings, *refused))
    report.write(result, repository.build / "check")
    if args.since:
        _comment(repository, result, args.since)
    print(_FORMATS["json" if args.json else args.format](result))
    if args.unset:
        for each in result.unset:
            later = f" ({command} fills it in)" if (command := by_command(each)) else ""
            console.note(f"{each.location}: {each.key}{later}")
    return 0 if result.passed else 1


def _as_error(args: argparse.Namespace, error: HarnessError) -> str | None:
    """What was not evaluated, in the format of the report, so that its reader can read it."""
    return report.as_error(error, "json" if args.json else args.format)


def _repair(repository: Repository, before: Report) -> bool:
    """Write the edits of the findings; commands are left to whoever reads the report."""
    written = list(repair.apply(repository.root, (each.repair for each in before.findings)))
    for edit in written:
        console.note(edit)
    console.note("`git diff` shows what was written" if written else "no finding names an edit")
    return bool(written)


def _comment(repository: Repository, result: Report, since: str) -> None:
    """Write build/check/comment.md, and append it to the job's summary on GitHub."""
    text = comment.page(result, list(comment.pairs(Renderer(repository), since)), since)
    files.write(repository.build / "check" / "comment.md", text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)


def _explain(rule: str, *, as_json: bool) -> int:
    known = engine.load_rules()
    rule = current_id(rule)
    if rule not in known:
        raise UsageError(
            f"no rule {rule!r}{did_you_mean(rule, known)}", hint="docs/rules.md lists all rules"
        )
    text = report.explain(known[rule])
    print(json.dumps({"rule": rule, "text": text}, indent=2) if as_json else text)
    return 0
