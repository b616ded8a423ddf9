"""``harness check``: renders every environment, judges it by schemas and rules, sorts the rest.

    report = Engine(repository).check()

Rendering runs kustomize and helm in processes of their own while this one loads the rules. An
object that stands in two environments with the same fault gives one finding, which names both.
"""

import dataclasses
import datetime
import functools
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from harness.core.errors import HarnessError, InputError, Location
from harness.core.repository import Repository
from harness.core.values import mapping
from harness.policy import builtin, exceptions, rules
from harness.policy.exceptions import Exemption
from harness.policy.finding import Finding, Problem, Severity
from harness.policy.project import Project
from harness.policy.report import Report
from harness.policy.rule import REGISTRY, Rule, of_release
from harness.render import placeholders, version_skew
from harness.render.cache import Ledger
from harness.render.objects import Object
from harness.render.rendered import Environment, Fault, Unfilled
from harness.render.renderer import Renderer
from harness.render.tree import Tree
from harness.schema import eksctl_schema, traps, validator

Rows = list[tuple[str, int | None]]
_EKSCTL = "clusters/{}/eksctl.yaml"
_NOT_RENDERED = "render/not-rendered"


def load_rules() -> dict[str, Rule]:
    """Every rule there is, by its id."""
    for module in pkgutil.iter_modules(rules.__path__):
        importlib.import_module(f"{rules.__name__}.{module.name}")
    return dict(sorted(REGISTRY.items()))


def check(
    repository: Repository,
    *,
    strict: bool = False,
    today: datetime.date | None = None,
    before: str | None = None,
) -> Report:
    """Judge a checkout.

    Args:
        repository: the checkout.
        strict: values that are UNSET are findings too.
        today: the day by which exceptions expire.
        before: the commit whose charts and values meet these; the one that a merge would replace,
            unless told.

    Raises:
        HarnessError: no judgement was possible: a tool is missing or failed.
    """
    started = time.monotonic()
    renderer = Renderer(repository)
    with ThreadPoolExecutor() as pool:
        names = renderer.environments()
        rendering = [pool.submit(renderer.candidate, name) for name in names]
        # Of a commit that was laid out what runs now is not the question.
        pins = [] if repository.checkout else names
        pinning = [pool.submit(renderer.live, name) for name in pins]
        known = load_rules()
        candidates = {each.name: each for each in (future.result() for future in rendering)}
        live = [each for each in (future.result() for future in pinning) if each]
        crossing = pool.submit(_crossed, renderer, candidates.values(), before)
        judging = Judgement(renderer, known)
        judging.files(candidates.values())
        judging.environments([*candidates.values(), *live])
        judging.rules(Project(repository, candidates, live[0] if live else None))
        for environment, fault in crossing.result():
            judging.fault(environment, fault)
    renderer.cache.prune()
    return judging.report(
        strict=strict,
        today=today or datetime.datetime.now(datetime.UTC).date(),
        environments=[*candidates.values(), *live],
        started=started,
    )


def _crossed(
    renderer: Renderer, environments: Iterable[Environment], before: str | None
) -> list[tuple[Environment, Fault]]:
    commit = before or version_skew.previous(renderer.repository)
    if commit is None:
        return []
    return [
        (environment, fault)
        for environment in environments
        for fault in version_skew.cross(renderer, environment, commit)
    ]


@dataclass
class Judgement:
    """Findings while they are collected: who has each, by what it says and where."""

    renderer: Renderer
    known: dict[str, Rule]
    found: dict[tuple[str, Problem], list[str]] = field(default_factory=dict)
    unfilled: dict[Unfilled, None] = field(default_factory=dict)

    def add(self, rule: str, problem: Problem, environment: str = "") -> None:
        seen = self.found.setdefault((rule, problem), [])
        if environment and environment not in seen:
            seen.append(environment)

    def fault(self, environment: Environment, fault: Fault) -> None:
        problem = Problem(fault.message, fault.location, fault.object)
        self.add(fault.rule, problem, str(environment))

    def files(self, environments: Iterable[Environment]) -> None:
        """What is judged as it is written: YAML traps, eksctl.yaml, and the image's base."""
        tree = self.renderer.tree
        for trap in _traps(self.renderer, tree, _site(environments)):
            self.add(trap.rule, Problem(trap.message, trap.location))
        for environment in environments:
            self._eksctl(tree, environment)
        image = placeholders.CONTAINERFILE
        text = tree.text(str(image)) if (tree.root / image).is_file() else ""
        for line in placeholders.unset_bases(text):
            self.unfilled[Unfilled("Containerfile: FROM", Location(image, line))] = None

    def _eksctl(self, tree: Tree, environment: Environment) -> None:
        path = _EKSCTL.format(environment.name)
        if not (tree.root / path).is_file():
            return
        try:
            problems, unfilled = _eksctl(self.renderer, tree, path)
        except InputError as error:
            problems, unfilled = [(error.message, error.at.line if error.at else None)], []
        for message, line in problems:
            at = Location(Path(path), line)
            self.add("schema/eksctl", Problem(message, at, "ClusterConfig"), environment.name)
        for key, line in unfilled:
            self.unfilled[Unfilled(f"ClusterConfig: {key}", Location(Path(path), line))] = None

    def environments(self, environments: Sequence[Environment]) -> None:
        """What did not render, and what the schemas refuse."""
        owners = {
            id(each): environment
            for environment in environments
            for each in (*environment.objects, *environment.foreign)
        }
        foreign = {id(each) for environment in environments for each in environment.foreign}
        for environment in environments:
            self.unfilled |= dict.fromkeys(environment.unfilled)
            for fault in environment.faults:
                self.fault(environment, fault)
        objects = [
            each
            for environment in environments
            for each in (*environment.objects, *environment.foreign)
        ]
        for judged, invalid in validator.validate(self.renderer.repository, objects):
            rule = "schema/none" if invalid.unknown else "schema/invalid"
            where = ".".join(str(key) for key in invalid.path)
            message = f"{where}: {invalid.message}" if where else invalid.message
            problem = Problem(message, judged.at(*invalid.path), str(judged))
            if id(judged) in foreign:
                problem = of_release(judged, message, *invalid.path)
            self.add(rule, problem, str(owners[id(judged)]))

    def rules(self, project: Project) -> None:
        """What the rules say of the candidates; live is judged by the rules it was merged under.

        An environment that did not render whole is left out: what it lacks proves nothing.
        """
        whole = {name: each for name, each in project.environments.items() if each.whole}
        judged = dataclasses.replace(project, environments=whole)
        for rule in self.known.values():
            for environment, problem in _judged(rule, judged):
                self.add(rule.id, problem, environment)

    def report(
        self,
        *,
        strict: bool,
        today: datetime.date,
        environments: Sequence[Environment],
        started: float,
    ) -> Report:
        if strict:
            for value in self.unfilled:
                self.add("render/unset", Problem(f"{value.key} is UNSET", value.location))
        listed = exceptions.load(self.renderer.repository)
        kept, excused, expired, unused = exceptions.apply(self._findings(), listed, today)
        if not all(each.whole for each in environments):
            unused = []
        unused = [each for each in unused if not _needed_elsewhere(each, environments)]
        for rule, stale in (("exceptions/expired", expired), ("exceptions/unused", unused)):
            for each in stale:
                told = f"{each.entry.rule} of {each.entry.object} until {each.entry.expires}"
                kept.append(self._finding(rule, Problem(told, each.location), []))
        return Report(
            findings=tuple(sorted(kept, key=_order)),
            excused=tuple(excused),
            unfilled=tuple(self.unfilled),
            objects={str(each): len(each.objects) + len(each.foreign) for each in environments},
            rules=tuple(self.known.values()),
            seconds=time.monotonic() - started,
        )

    def _findings(self) -> Iterator[Finding]:
        for (rule, problem), environments in self.found.items():
            yield self._finding(rule, problem, environments)

    def _finding(self, rule: str, problem: Problem, environments: list[str]) -> Finding:
        told = self.known[rule]
        return Finding(
            rule,
            told.severity,
            problem.message,
            problem.location,
            problem.object,
            tuple(environments),
            told.fix,
        )


def _judged(rule: Rule, project: Project) -> Iterator[tuple[str, Problem]]:
    """The problems that one rule sees, each with the environment that has it."""
    if rule.judge is None:
        return
    if rule.scope is Project:
        for problem in _asked(rule.judge, project):
            yield "", problem
        return
    for environment in project.environments.values():
        subjects: Iterable[object] = (environment,)
        if rule.scope is Object:
            subjects = environment.of(*rule.kinds) if rule.kinds else environment.objects
        for subject in subjects:
            for problem in _asked(rule.judge, subject):
                yield environment.name, problem


def _needed_elsewhere(exemption: Exemption, environments: Iterable[Environment]) -> bool:
    """Whether a machine where other charts of the network lie would need an exception."""
    for environment in environments:
        if exemption.entry.rule == _NOT_RENDERED:
            releases = {str(each.owner) for each in environment.foreign}
        else:
            absent = [each for each in environment.faults if each.rule == _NOT_RENDERED]
            releases = {each.object for each in absent}
        if any(exemption.names(release) for release in releases):
            return True
    return False


def _asked(judge: Callable[..., Iterator[Problem]], subject: object) -> Iterator[Problem]:
    """What a rule says of a subject; one that it cannot read is a problem too, not the end."""
    try:
        yield from judge(subject)
    except HarnessError as error:
        yield Problem(error.message, error.at or Location(Path("clusters")))


def _site(environments: Iterable[Environment]) -> dict[str, str]:
    """What Flux substitutes, by name; of two environments the one whose value changes a type."""
    values: dict[str, str] = {}
    for environment in environments:
        site = environment.find("ConfigMap", "site")
        for key, value in mapping(site.value if site else None, "data").items():
            if key not in values or str(value).isdigit():
                values[key] = str(value)
    return values


def _traps(renderer: Renderer, tree: Tree, variables: dict[str, str]) -> Iterator[traps.Trap]:
    """The traps of every YAML file; those of a file that has not changed are remembered."""
    ledger = Ledger(renderer.repository, "traps")
    for path in traps.files(tree):
        try:
            key = tree.digest((path,)) + str(sorted(variables.items()))
        except InputError as error:
            yield traps.Trap("yaml/unreadable", error.message, error.at or Location(Path(path)))
            continue
        if key not in ledger:
            ledger[key] = [
                [each.rule, each.message, each.location.line]
                for each in traps.find(tree, path, variables)
            ]
        for rule, message, line in cast("list[tuple[str, str, int]]", ledger[key]):
            yield traps.Trap(rule, message, Location(Path(path), line))
    ledger.save()


def _eksctl(renderer: Renderer, tree: Tree, path: str) -> tuple[Rows, Rows]:
    """The verdict on an eksctl.yaml; that of a file which has not changed is remembered."""

    def make() -> object:
        from harness.schema import eksctl  # brings pydantic: a third of a second

        own = functools.partial(eksctl_schema.problems, renderer.repository)
        return eksctl.judge(tree, path, renderer.placeholders, own)

    maker = (Path(validator.__file__).with_name("eksctl.py")).read_text()
    told = [tree.digest((path,)), maker, str(renderer.placeholders), eksctl_schema.program()]
    return cast("tuple[Rows, Rows]", renderer.cache.get(f"eksctl {told}", make))


def _order(finding: Finding) -> tuple[bool, str, int, str]:
    at = finding.location
    return (finding.severity is not Severity.ERROR, str(at.path), at.line or 0, finding.rule)


_ = builtin  # declares the engine's own rules
