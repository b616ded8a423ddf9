"""``harness check``: renders every environment and evaluates schemas and rules on it.

    report = Engine(repository).check()

Rendering runs kustomize and helm in processes of their own while this one loads the rules. An
object that two environments have with the same fault gives one finding, which names both.
"""

import dataclasses
import datetime
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from harness.core.errors import InputError, UsageError
from harness.core.fix import advise
from harness.core.problem import Location, Problem
from harness.core.repository import Repository
from harness.policy import builtin, credentials, rules
from harness.policy.collector import FindingCollector
from harness.policy.facts import service_quotas
from harness.policy.project import Project
from harness.policy.report import Report
from harness.policy.rule import REGISTRY, Rule
from harness.render import version_skew
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.schema import cloudformation


def load_rules() -> dict[str, Rule]:
    """Every rule, by its id."""
    for module in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(REGISTRY.items()))


def check(
    repository: Repository,
    *,
    strict: bool = False,
    today: datetime.date | None = None,
    before: str | None = None,
) -> Report:
    """Evaluate every schema and rule on a repository.

    Args:
        repository: the repository to check.
        strict: values that are UNSET are findings too.
        today: the day by which exceptions expire; by default the current one.
        before: the commit whose charts and values meet these; by default the one that a merge
            would replace.

    Raises:
        HarnessError: could not evaluate: a tool is missing or failed.
    """
    started = time.monotonic()
    renderer = Renderer(repository)
    with ThreadPoolExecutor() as pool:
        names = renderer.environments()
        rendering = [pool.submit(renderer.candidate, name) for name in names]
        # Of a commit that was laid out what runs now is not the question.
        pins = [] if repository.laid_out_from else names
        pinning = {name: pool.submit(renderer.live, name) for name in pins}
        scan = pool.submit(credentials.find, repository)
        lint = pool.submit(cloudformation.lint, repository)
        known = load_rules()
        candidates = {each.name: each for each in (future.result() for future in rendering)}
        live, lost = _running(renderer, pinning)
        replaced = pool.submit(_environments_before, renderer, candidates.values(), before)
        skew = pool.submit(_version_skew, renderer, candidates.values(), replaced.result)
        collector = FindingCollector(renderer, known)
        for environment, problem in lost:
            collector.add(problem, environment)
        collector.collect_files(candidates.values())
        collector.collect_environments([*candidates.values(), *live])
        project = Project(repository, candidates, live[0] if live else None, renderer.tree)
        for environment, problem in evaluate(known.values(), project):
            collector.add(problem, environment)
        for environment, problem in skew.result():
            collector.add(problem, environment)
        running = replaced.result() | {each.name: each for each in live}
        collector.collect_refusals([(each, running.get(name)) for name, each in candidates.items()])
        collector.collect_credentials(scan.result())
        collector.collect_template(lint.result())
    renderer.cache.prune()
    return collector.report(
        strict=strict,
        today=today or datetime.datetime.now(datetime.UTC).date(),
        environments=[*candidates.values(), *live],
        started=started,
        notes=list(service_quotas.notes(project)),
    )


def _running(
    renderer: Renderer, pinning: Mapping[str, Future[Environment | None]]
) -> tuple[list[Environment], list[tuple[str, Problem]]]:
    """What environments run that pin a commit, and the pointers at commits that are not here."""
    running: list[Environment] = []
    lost: list[tuple[str, Problem]] = []
    for name, future in pinning.items():
        try:
            running += filter(None, [future.result()])
        except UsageError as error:
            (parsed, *_) = renderer.tree.documents(f"clusters/{name}/release.yaml")
            at, fix = parsed.at(("spec", "ref", "commit")), advise(error.hint)
            lost.append((name, Problem(error.message, at, rule="release/pointer", fix=fix)))
    return running, lost


def _environments_before(
    renderer: Renderer, environments: Iterable[Environment], before: str | None
) -> dict[str, Environment]:
    """What a merge would replace: each environment at the commit below it."""
    commit = before or version_skew.previous(renderer.repository)
    return {each.name: renderer.at(each.name, commit) for each in environments if commit}


def _version_skew(
    renderer: Renderer,
    environments: Iterable[Environment],
    replaced: Callable[[], Mapping[str, Environment]],
) -> list[tuple[str, Problem]]:
    return [
        (str(environment), problem)
        for environment in environments
        if (old := replaced().get(environment.name))
        for problem in version_skew.cross(renderer, environment, old)
    ]


def evaluate(known: Iterable[Rule], project: Project) -> Iterator[tuple[str, Problem]]:
    """The problems that rules see in the candidates, each with the environment that has it.

    What runs now is evaluated by the rules it was merged under. An environment that did not render
    completely is left out: what it lacks proves nothing.
    """
    complete = {name: each for name, each in project.environments.items() if each.is_complete}
    rendered = dataclasses.replace(project, environments=complete)
    for rule in known:
        yield from evaluate_rule(rule, rendered)


def evaluate_rule(rule: Rule, project: Project) -> Iterator[tuple[str, Problem]]:
    """The problems that one rule sees, each with the environment that has it."""
    if rule.evaluate is None:
        return
    if rule.scope is Project:
        for problem in _problems(rule.evaluate, project):
            yield "", dataclasses.replace(problem, rule=rule.id)
        return
    for environment in project.environments.values():
        subjects: Iterable[object] = (environment,)
        if rule.scope is Object:
            subjects = environment.of(*rule.kinds) if rule.kinds else environment.objects
        for subject in subjects:
            for problem in _problems(rule.evaluate, subject):
                yield environment.name, dataclasses.replace(problem, rule=rule.id)


def _problems(evaluate: Callable[..., Iterator[Problem]], subject: object) -> Iterator[Problem]:
    """The problems of a subject; one that the rule cannot read is a problem too, not the end."""
    try:
        yield from evaluate(subject)
    except (InputError, UsageError) as error:
        yield Problem(error.message, error.at or Location(Path("clusters")))


_ = builtin  # declares the engine's own rules
