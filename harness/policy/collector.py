"""Collects the problems of every source into findings, and the findings into a report."""

import dataclasses
import datetime
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.fix import advise
from harness.core.problem import Problem
from harness.core.suggest import did_you_mean
from harness.policy import causes, credentials, exceptions, generated, repair, source_files, unset
from harness.policy.exceptions import Suppression
from harness.policy.facts import expressions
from harness.policy.finding import Finding, Severity
from harness.policy.report import Report
from harness.policy.rule import Rule, of_release
from harness.render.rendered import Environment, UnsetValue
from harness.render.renderer import Renderer
from harness.schema import api_validator, cloudformation, validator

_NOT_RENDERED = "render/not-rendered"
# Rules that ask what admission policies and Pod Security ask too.
_AS_ADMISSION = ("images/", "namespaces/", "pod-security/", "sources/")


@dataclass
class FindingCollector:
    """Findings while they are collected: which environments have each problem."""

    renderer: Renderer
    known: dict[str, Rule]
    environments_by_problem: dict[Problem, list[str]] = field(default_factory=dict)
    unset: dict[UnsetValue, None] = field(default_factory=dict)
    not_validated: int = 0
    not_run: list[str] = field(default_factory=list)

    def add(self, problem: Problem, environment: str = "") -> None:
        """Add a problem; empty is the environment of what concerns no single one."""
        problem = _in_repository(problem, self.renderer.repository.root)
        environments = self.environments_by_problem.setdefault(problem, [])
        if environment and environment not in environments:
            environments.append(environment)

    def collect_files(self, environments: Iterable[Environment]) -> None:
        """What is wrong in files as they are written."""
        for problem in source_files.lint_yaml(self.renderer, environments):
            self.add(problem)
        for environment in environments:
            problems, unset = source_files.validate_eksctl(self.renderer, environment.name)
            for problem in problems:
                self.add(problem, environment.name)
            self.unset |= dict.fromkeys(unset)
        self.unset |= dict.fromkeys(source_files.unset_bases(self.renderer))

    def collect_environments(self, environments: Sequence[Environment]) -> None:
        """What did not render, and what the schemas refuse."""
        for environment in environments:
            self.unset |= dict.fromkeys(environment.unset)
            for problem in environment.faults:
                self.add(problem, str(environment))
        has_rules = any(next(each.of("PrometheusRule"), None) for each in environments)
        if has_rules and not expressions.are_parsed(self.renderer.repository):
            self.not_run.append(expressions.NOT_PARSED)
        names = {
            id(each): str(environment)
            for environment in environments
            for each in (*environment.objects, *environment.third_party)
        }
        third_party = {id(each) for environment in environments for each in environment.third_party}
        objects = [
            each
            for environment in environments
            for each in (*environment.objects, *environment.third_party)
        ]
        for subject, problem in validator.validate(self.renderer.repository, objects):
            reported = of_release(subject, problem) if id(subject) in third_party else problem
            self.add(reported, names[id(subject)])

    def collect_refusals(self, pairs: Sequence[tuple[Environment, Environment | None]]) -> None:
        """What the API server's own code refuses, where nothing else has said the same.

        Args:
            pairs: each environment, with what it was before.
        """
        program = api_validator.program(self.renderer.repository)
        if program is None:
            self.not_validated = sum(len(new.objects) + len(new.third_party) for new, _ in pairs)
            return
        named = {
            each.location
            for each in self.environments_by_problem
            if self.known[each.rule].severity is Severity.ERROR
        }
        pods = {
            each.object
            for each in self.environments_by_problem
            if each.rule.startswith(_AS_ADMISSION)
        }
        for environment, subject, problem in api_validator.validate(
            self.renderer.repository, program, pairs
        ):
            reported = problem if subject in environment.objects else of_release(subject, problem)
            known = reported.location in named
            if reported.rule == api_validator.ADMISSION:
                known = known or reported.object in pods
            if not known:
                self.add(reported, str(environment))

    def collect_credentials(self, problems: Iterable[Problem] | None) -> None:
        """What the scanner found, once: a Secret that a rule has seen rendered is said by it.

        Args:
            problems: the scanner's; None where it could not run.
        """
        if problems is None:
            self.not_run.append(credentials.NOT_SCANNED)
        reported = {
            each.location.path
            for each in self.environments_by_problem
            if each.rule == credentials.ENCRYPTED
        }
        for problem in problems or ():
            if problem.location.path not in reported:
                self.add(problem)

    def collect_template(self, problems: Iterable[Problem] | None) -> None:
        """What is wrong with the foundation's template; None where cfn-lint is not installed."""
        if problems is None:
            self.not_run.append(cloudformation.NOT_LINTED)
        for problem in problems or ():
            self.add(problem)

    def report(
        self,
        *,
        strict: bool,
        today: datetime.date,
        environments: Sequence[Environment],
        started: float,
        notes: Sequence[str] = (),
    ) -> Report:
        """The report, after the exceptions were applied.

        Args:
            strict: values that are UNSET are findings too.
            today: the day by which exceptions expire.
            environments: everything that was rendered.
            started: when the check began, by the monotonic clock.
            notes: what was not judged, since no file here says it.
        """
        if strict:
            for problem in unset.problems(self.unset, self.renderer.tree):
                self.add(problem)
        suppressions = exceptions.load(self.renderer.repository)
        bounded = [each for each in suppressions if not each.excess(today)]
        unbounded = [each for each in suppressions if each.excess(today)]
        result = exceptions.apply(self._findings(), bounded, today)
        stale = [*_as_problems(result.expired, "exceptions/expired")]
        stale += [
            Problem(each.excess(today), each.location, rule="exceptions/bounded")
            for each in unbounded
            if each.rule in self.known
        ]
        for each in suppressions:
            if each.rule not in self.known:
                message = f"there is no rule {each.rule}{did_you_mean(each.rule, self.known)}"
                stale.append(Problem(message, each.location, rule="exceptions/unknown-rule"))
        if all(each.is_complete for each in environments):
            unused = [
                each
                for each in result.unused
                if each.rule in self.known and not _needed_elsewhere(each, environments)
            ]
            stale += _as_problems(unused, "exceptions/unused")
        first = {each.id for each in self.known.values() if each.first}
        whole = [*result.findings, *(self._finding(each, []) for each in stale)]
        by_hand = {each.location.path for each in whole if each.rule == generated.OUT_OF_DATE}
        names = {each.name for each in environments}
        findings = [
            generated.at_source(each, self.renderer.tree, by_hand)
            for each in causes.causes(whole, first, names, [*unbounded, *result.expired])
        ]
        return Report(
            findings=tuple(sorted(findings, key=_order)),
            suppressed=tuple(result.suppressed),
            unset=tuple(self.unset),
            objects={str(each): len(each.objects) + len(each.third_party) for each in environments},
            rules=tuple(self.known.values()),
            not_validated=self.not_validated,
            seconds=time.monotonic() - started,
            not_run=tuple(self.not_run),
            notes=tuple(notes),
        )

    def _findings(self) -> Iterator[Finding]:
        for problem, environments in self.environments_by_problem.items():
            yield self._finding(problem, environments)

    def _finding(self, problem: Problem, environments: list[str]) -> Finding:
        rule = self.known[problem.rule]
        fix = repair.with_commands(problem.fix) if problem.fix else advise(problem.fix.advice)
        try:
            replacements = tuple(repair.replacements(self.renderer.repository.root, fix))
        except HarnessError:  # the file is written in a form that only a person can edit
            fix, replacements = advise(problem.fix.advice), ()
        return Finding(
            rule.id,
            rule.severity,
            problem.message,
            problem.location,
            problem.object,
            tuple(environments),
            str(fix) or rule.fix,
            fix,
            replacements,
        )


def _in_repository(problem: Problem, root: Path) -> Problem:
    """The same problem without the path of this machine's clone, in its location and its text."""
    at = problem.location
    if at.path.is_relative_to(root):
        at = dataclasses.replace(at, path=at.path.relative_to(root))
    message = problem.message.replace(f"{root}/", "")
    return dataclasses.replace(problem, location=at, message=message)


def _as_problems(suppressions: Iterable[Suppression], rule: str) -> Iterator[Problem]:
    for each in suppressions:
        message = f"{each.rule} of {each.object} until {each.expires}"
        yield Problem(message, each.location, rule=rule)


def _needed_elsewhere(suppression: Suppression, environments: Iterable[Environment]) -> bool:
    """Whether a machine that has other third-party charts would need an exception."""
    for environment in environments:
        if suppression.rule == _NOT_RENDERED:
            releases = {str(each.owner) for each in environment.third_party}
        else:
            absent = [each for each in environment.faults if each.rule == _NOT_RENDERED]
            releases = {each.object for each in absent}
        if any(suppression.names(release) for release in releases):
            return True
    return False


def _order(finding: Finding) -> tuple[bool, str, int, str]:
    at = finding.location
    return (finding.severity is not Severity.ERROR, str(at.path), at.line or 0, finding.rule)
