"""How long `harness check` takes, next to checkov on the same rendered files."""

import os
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from bench import Figure
from harness import programs, tools
from harness.core import command
from harness.core.repository import Repository, find
from harness.core.values import mapping
from harness.policy import engine
from harness.policy.collector import FindingCollector
from harness.policy.project import Project
from harness.policy.rule import Rule
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.schema import api_validator, catalog
from harness.settings import new_environment

DOCUMENTS = 1_000
RUNS = 3
ENVIRONMENTS = (3, 12)
_CHECKOV = "checkov==3.3.30"  # the newest 3.3
_POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_OVERLAY = ("apps/torchserve/local/torchserve/helmrelease.yaml", "sharedMemory")
_BASE = ("apps/torchserve/base/helmrelease.yaml", "interval")
_CHART = ("apps/torchserve/chart/values.yaml", "memory")
_READ = ("apps", "clusters", "infra", "models", "tests", "tools", "exceptions.yaml", "harness")


def run() -> list[Figure]:
    """Time the check: everything cached, two files touched, an empty cache, 1,000 documents."""
    repository = find()
    for name in (*programs.TOOLS, "api-validator"):
        tools.find(repository, name)
    catalog.find(repository)
    with tempfile.TemporaryDirectory(dir=repository.build) as scratch:
        copy = _copy(repository, Path(scratch, "checkout"))
        figures = [
            _seconds("harness check, empty cache", lambda: _empty(copy), copy),
            _seconds(
                "harness check, an overlay's values and a base touched",
                lambda: _touch(copy, _OVERLAY, _BASE),
                copy,
            ),
            _seconds(
                "harness check, the chart's values and a base touched (charts × old values too)",
                lambda: _touch(copy, _CHART, _BASE),
                copy,
            ),
            _seconds("harness check, nothing touched", lambda: None, copy),
            _with_more_environments(copy),
        ]
        documents = _documents(repository)
        figures.append(_ask_api_validator(repository, documents, Path(scratch)))
        return [*figures, _compare_with_checkov(repository, documents, Path(scratch))]


def _copy(repository: Repository, root: Path) -> Repository:
    """A copy to touch, with this checkout's tools and an empty cache."""
    root.mkdir()
    for name in _READ:
        source = repository.root / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, root / name)
    (root / "build").mkdir()
    (root / "build" / "tools").symlink_to(repository.build / "tools")
    git = ["git", "-C", str(root), "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    (root / ".gitignore").write_text("build\n")
    command.run([*git, "init", "--quiet", "--initial-branch=main"], timeout=60)
    command.run([*git, "add", "--all"], timeout=60)
    command.run([*git, "commit", "--quiet", "--message", "bench"], timeout=60)
    return Repository(root)


def _seconds(name: str, before: Callable[[], None], copy: Repository) -> Figure:
    """Wall seconds of the command as a person starts it, interpreter and imports included."""
    took = []
    for _ in range(RUNS):
        before()
        started = time.perf_counter()
        _check(copy)
        took.append(time.perf_counter() - started)
    return _figure(name, took, "s")


def _with_more_environments(copy: Repository) -> Figure:
    """CPU of a check that finds everything in the cache, for each environment: few, then many."""
    each = {}
    for count in ENVIRONMENTS:
        for number in range(len(copy.environments), count):
            new_environment.create(copy, f"dev-{number}", "staging")
        _check(copy)
        each[count] = statistics.median(_cpu(lambda: _check(copy)) for _ in range(RUNS)) / count
    few, many = ENVIRONMENTS
    name = f"harness check, nothing touched, for each of {many} environments"
    figure = Figure(name, each[many], "s of CPU", peer=f"for each of {few}")
    return replace(figure, peer_value=each[few], ratio=each[many] / each[few])


def _check(copy: Repository) -> None:
    argv = [sys.executable, "-m", "harness", "check"]
    command.run(argv, cwd=copy.root, timeout=300, accept=(0, 1))


def _empty(copy: Repository) -> None:
    shutil.rmtree(copy.build / "check", ignore_errors=True)


def _touch(copy: Repository, *places: tuple[str, str]) -> None:
    """Give a field of each file another value, as a pull request does."""
    for path, key in places:
        file = copy.root / path
        text = file.read_text()
        number = time.time_ns() % 900 + 100
        changed = re.sub(
            rf"^(\s*{key}: ).*$", rf"\g<1>{number}m", text, count=1, flags=re.MULTILINE
        )
        assert changed != text, f"{path} has no {key}"  # noqa: S101
        file.write_text(changed)


def _documents(repository: Repository) -> Environment:
    """1,000 documents: what staging renders, over and over, no two of them equal."""
    staging = Renderer(repository).candidate("staging")
    objects: list[Object] = []
    while len(objects) < DOCUMENTS:
        for each in staging.objects[: DOCUMENTS - len(objects)]:
            annotations = {**each.annotations, "example.com/number": str(len(objects))}
            metadata = {**mapping(each.value, "metadata"), "annotations": annotations}
            objects.append(replace(each, value={**each.value, "metadata": metadata}))
    return replace(staging, objects=tuple(objects))


def _ask_api_validator(repository: Repository, documents: Environment, scratch: Path) -> Figure:
    """With no answer kept: would they be stored, and let in by the policies (each of them once)?"""
    policies = {(each.kind, each.name): each for each in documents.of(*_POLICIES)}
    others = [each for each in documents.objects if each.kind not in _POLICIES]
    environment = replace(documents, objects=(*policies.values(), *others))
    copy = Repository(scratch / "asked")
    for name in ("tools", "build/tools"):
        (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
        (copy.root / name).symlink_to(repository.root / name)
    program = tools.find(repository, "api-validator")
    took = []
    for _ in range(RUNS):
        shutil.rmtree(copy.build / "check", ignore_errors=True)
        took.append(_cpu(lambda: api_validator.validate(copy, program, [(environment, None)])))
    return _figure("1,000 documents through the API server's own code", took, "s of CPU")


def _compare_with_checkov(repository: Repository, documents: Environment, scratch: Path) -> Figure:
    folder = scratch / "documents"
    folder.mkdir()
    for number, each in enumerate(documents.objects):
        text = yaml.safe_dump(each.value, sort_keys=False)
        (folder / f"{number}.yaml").write_text(text)
    known = engine.load_rules()
    program = checkov(repository)
    ours, theirs = [], []
    for _ in range(RUNS):
        copy = Repository(scratch / "empty")
        shutil.rmtree(copy.root, ignore_errors=True)
        shutil.copytree(repository.root / "tools", copy.root / "tools")
        shutil.copytree(repository.root / "tests/testdata", copy.root / "tests/testdata")
        for name in ("apps", "clusters", "models"):
            shutil.copytree(repository.root / name, copy.root / name)
        (copy.root / "build").mkdir()
        (copy.root / "build" / "tools").symlink_to(repository.build / "tools")
        ours.append(_cpu(lambda copy=copy: _evaluate(copy, known, documents)))  # type: ignore[misc]
        argv = [program, "--directory", folder, "--framework", "kubernetes", "--quiet"]
        argv += ["--compact", "--output", "json"]
        theirs.append(_cpu(lambda argv=argv: _quietly(argv)))  # type: ignore[misc]
    figure = _figure("1,000 documents through schemas and all rules", ours, "s of CPU")
    peer = statistics.median(theirs)
    return replace(figure, peer=_CHECKOV, peer_value=peer, ratio=figure.value / peer)


def _evaluate(repository: Repository, known: dict[str, Rule], documents: Environment) -> None:
    collector = FindingCollector(Renderer(repository), known)
    collector.collect_environments([documents])
    project = Project(repository, {documents.name: documents})
    for environment, problem in engine.evaluate(known.values(), project):
        collector.add(problem, environment)


def _quietly(argv: list[str | Path]) -> None:
    command.run(argv, timeout=300, accept=(0, 1), env={"LOG_LEVEL": "ERROR"})


def _cpu(work: Callable[[], None]) -> float:
    """CPU seconds that some work takes."""
    before = cpu_seconds()
    work()
    return cpu_seconds() - before


def cpu_seconds() -> float:
    """CPU seconds until now of this process and of the children that it waited for."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    spent = [resource.getrusage(each) for each in both]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def checkov(repository: Repository) -> Path:
    """checkov in a virtual environment of its own: its dependencies clash with ours."""
    venv = repository.build / "bench" / "checkov"
    program = venv / "bin" / "checkov"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        command.run([uv, "venv", "--quiet", "--clear", venv], timeout=120)
        argv = [uv, "pip", "install", "--quiet", _CHECKOV]
        command.run(argv, timeout=900, env={"VIRTUAL_ENV": os.fspath(venv)})
    return program


def _figure(name: str, values: list[float], unit: str) -> Figure:
    median = statistics.median(values)
    return Figure(name, median, unit, spread=(max(values) - min(values)) / median)
