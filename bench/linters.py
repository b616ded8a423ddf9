"""How many of the invalid changes under tests/testdata other linters see, next to `harness check`.

Each change is made and checked, the environments are rendered, and the objects that it changes are
written to a file. A linter sees a change if it says something about one of them that it does not
say of the same object without the change. Changes that change no object, or with which nothing
renders, are left out for all of them. EVERY=10 takes every tenth.

The CPU seconds are of this process and of those that it starts: `harness check` reads and renders
each whole repository, the others read the changed objects alone, all files at once.
"""

import json
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from bench import Figure
from bench.check import checkov, cpu_seconds
from harness import tools
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.repository import Repository, find
from harness.core.values import Value, items, text
from harness.policy import engine
from harness.render.renderer import Renderer
from harness.schema import catalog
from tests.support import variation

_MODULES = {
    "kube-linter": "golang.stackrox.io/kube-linter/cmd/kube-linter@v0.7.6",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
}
_PASSED = 7  # kube-score's grade from which on nothing is wrong
_SECONDS = 900
_OURS = "harness check"

Objects = dict[str, Value]
"""The objects of all environments, by environment and name."""
Said = Mapping[str, set[str]]
"""What a linter says of each file."""


def run() -> list[Figure]:
    """Count, for each linter, the changes that it sees."""
    repository = find()
    folders = variation.folders("invalid")[:: int(os.environ.get("EVERY", "1"))]
    before = _objects(repository)
    seen_by = Counter[str]()
    seconds: defaultdict[str, float] = defaultdict(float)
    changed: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            with tempfile.TemporaryDirectory(dir=scratch) as root, console.step(folder.name):
                copy = variation.load(folder).lay_out(Path(root).resolve())
                started = cpu_seconds()
                findings = engine.check(copy).findings
                spent = cpu_seconds() - started
                objects = _after(copy)
            different = {key: each for key, each in objects.items() if each != before.get(key)}
            if not different:
                continue
            changed.append(folder.name)
            seen_by[_OURS] += bool(findings)
            seconds[_OURS] += spent
            for name, each in (("after", different), ("before", before)):
                states = [each[key] for key in different if key in each]
                text = yaml.safe_dump_all(states, sort_keys=False)
                path = Path(scratch, "documents", name, f"{folder.name}.yaml")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        for linter, ask in _linters(repository).items():
            started = cpu_seconds()
            answers = {
                state: ask(Path(scratch, "documents", state)) for state in ("before", "after")
            }
            seconds[linter] = (cpu_seconds() - started) / len(answers)
            seen_by[linter] = sum(
                bool(answers["after"].get(each, set()) - answers["before"].get(each, set()))
                for each in changed
            )
    figures = [Figure("invalid changes that change a rendered object", len(changed), "of them")]
    for linter, count in seen_by.items():
        figures.append(Figure(f"seen by {linter}", count, f"of {len(changed)}"))
        figures.append(Figure(f"CPU of {linter}", seconds[linter], "s"))
    return figures


def _objects(repository: Repository) -> Objects:
    renderer = Renderer(repository)
    return {
        f"{name} {each}": each.value
        for name in renderer.environments()
        for each in renderer.candidate(name).objects
    }


def _after(copy: Repository) -> Objects:
    """The objects after a change; none where it cannot be rendered."""
    try:
        return _objects(copy)
    except HarnessError:
        return {}


def _linters(repository: Repository) -> dict[str, Callable[[Path], Said]]:
    linters: dict[str, Callable[[Path], Said]] = {}
    schemas, kubeconform = catalog.find(repository), tools.find(repository, "kubeconform")
    linters["kubeconform"] = lambda folder: _kubeconform(kubeconform, schemas, folder)
    program = checkov(repository)
    linters["checkov"] = lambda folder: _checkov(program, folder)
    if kube_linter := _program(repository, "kube-linter"):
        linters["kube-linter"] = lambda folder: _lint(kube_linter, folder)
    if kube_score := _program(repository, "kube-score"):
        linters["kube-score"] = lambda folder: _score(kube_score, folder)
    return linters


def _kubeconform(program: Path, schemas: Path, folder: Path) -> Said:
    location = (
        f"{schemas}/{{{{ .ResourceKind }}}}-{{{{ .Group }}}}-{{{{ .ResourceAPIVersion }}}}.json"
    )
    argv: list[str | Path] = [program, "-strict", "-output", "json", "-schema-location", location]
    output = command.run([*argv, folder], timeout=_SECONDS, accept=(0, 1)).stdout
    resources = json.loads(output)["resources"]
    return _by_file((each["filename"], each["msg"]) for each in resources)


def _checkov(program: Path, folder: Path) -> Said:
    argv: list[str | Path] = [program, "--directory", folder, "--framework", "kubernetes"]
    argv += ["--quiet", "--compact", "--output", "json"]
    environment = {"LOG_LEVEL": "ERROR"}
    output = command.run(argv, timeout=_SECONDS, accept=(0, 1), env=environment).stdout
    failed = items(json.loads(output), "results", "failed_checks")
    return _by_file(
        (text(each, "file_path"), f"{text(each, 'check_id')} {text(each, 'resource')}")
        for each in failed
    )


def _lint(program: Path, folder: Path) -> Said:
    argv: list[str | Path] = [program, "lint", "--format", "json", folder]
    output = command.run(argv, timeout=_SECONDS, accept=(0, 1)).stdout
    reports = json.loads(output)["Reports"] or []
    return _by_file(
        (each["Object"]["Metadata"]["FilePath"], f"{each['Check']} {each['Diagnostic']['Message']}")
        for each in reports
    )


def _score(program: Path, folder: Path) -> Said:
    argv: list[str | Path] = [program, "score", "--output-format", "json"]
    output = command.run([*argv, *sorted(folder.iterdir())], timeout=_SECONDS, accept=(0, 1)).stdout
    return _by_file(
        (each["file_name"], f"{check['check']['id']} {each['object_name']} {comment['path']}")
        for each in json.loads(output) or []
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < _PASSED
        for comment in check["comments"] or [{"path": ""}]
    )


def _by_file(answers: Iterator[tuple[str, str]]) -> Said:
    by_file: dict[str, set[str]] = {}
    for file, words in answers:
        by_file.setdefault(Path(file).stem, set()).add(words)
    return by_file


def _program(repository: Repository, name: str) -> Path | None:
    """A linter, built once under build/bench; None where it cannot be built."""
    folder = repository.build / "bench" / "bin"
    program = folder / name
    if not program.exists():
        go, environment = tools.go(repository)
        environment = {**environment, "GOBIN": os.fspath(folder)}
        try:
            command.run([go, "install", _MODULES[name]], timeout=1800, env=environment)
        except command.CommandError as error:
            console.note(f"{name} is left out: {error.message.splitlines()[-1]}")
            return None
    return program
