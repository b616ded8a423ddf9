"""What CloudFormation would refuse in the foundation's template: cfn-lint says so, where it is.

It takes two seconds, so that its answer is kept until the template or its version changes. Whether
a policy is too wide is for this repository's own rules (family ``iam``): cfn-lint does not look.
"""

import hashlib
import json
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import cast

from harness.core import command, yamlfile
from harness.core.errors import HarnessError
from harness.core.problem import Location, Problem, Row
from harness.core.repository import Repository
from harness.core.suggest import did_you_mean
from harness.core.values import dig, items, mapping, text
from harness.render.cache import Cache

RULE = "schema/cloudformation"
TEMPLATE = Path("infra/foundation/template.yaml")
NOT_LINTED = (
    f"{TEMPLATE} was not validated against AWS's schemas: this needs cfn-lint (`make setup`)"
)
_DISTRIBUTION = "cfn_lint-*.dist-info"
_SECONDS = 600.0  # it takes two, on a machine that is not busy
_FOUND = range(32)  # its exit code is a sum of bits: 2 errors, 4 warnings, 8 information
_UNKNOWN_KEY = re.compile(r"\('([^']+)' was unexpected(?:\. Did you mean '([^']+)'\?)?")
_NOT_AMONG = re.compile(r"^'([^']+)' is not one of \[(.*)\]")
_SECTIONS = ("Parameters", "Conditions", "Mappings", "Resources")
_ABSENT = "there is no"
_UNREADABLE = "E0000"  # yaml/unreadable and yaml/duplicate-key say that


def lint(repository: Repository) -> list[Problem] | None:
    """What cfn-lint finds in the template; None where it is not installed.

    Raises:
        HarnessError: it failed.
    """
    path = repository.root / TEMPLATE
    if not path.is_file():
        return []
    program = Path(sys.executable).with_name("cfn-lint")
    installed = (each for folder in sys.path for each in Path(folder).glob(_DISTRIBUTION))
    version = next(installed, None)  # importlib.metadata would read every package's first
    if version is None or not program.is_file():
        return None
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    key = f"{version.name} {content} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"

    def run() -> object:
        return [each.row for each in _run(program, path)]

    return [Problem.from_row(each) for each in cast("list[Row]", Cache(repository).get(key, run))]


def _run(program: Path, path: Path) -> list[Problem]:
    argv: list[str | Path] = [program, "--format", "json", "--", path]
    ended = command.run(argv, timeout=_SECONDS, accept=_FOUND)
    try:
        matches = json.loads(ended.stdout)
    except ValueError as error:
        raise HarnessError(f"cfn-lint failed: {ended.stderr.strip()[-300:]}") from error
    template = yamlfile.parse(yamlfile.read_text(path), path)[0].value
    names = {str(name) for section in _SECTIONS for name in mapping(template, section)}
    problems: dict[str, Problem] = {}
    for match in matches:
        if text(match, "Rule", "Id") != _UNREADABLE:
            line = dig(match, "Location", "Start", "LineNumber")
            at = Location(TEMPLATE, line if isinstance(line, int) else 1)
            problem = Problem(_plain(text(match, "Message")), at, rule=RULE)
            about = _about(match, problem.message, names)
            if about not in problems or _is_clearer(problem, problems[about]):
                problems[about] = problem
    return list(problems.values())


def _about(match: object, message: str, names: Collection[str]) -> str:
    """What a match is about: a parameter or a resource, whatever else is said of it.

    A parameter that is wrong is wrong wherever it is used; one that is renamed is missing there.
    """
    section, name, *_ = [*map(str, items(match, "Location", "Path")), "", ""]
    mentioned = (each for each in re.findall(r"\w+", message) if each in names)
    return next(mentioned, name if section == _SECTIONS[0] else f"{message} {section} {name}")


def _is_clearer(problem: Problem, other: Problem) -> bool:
    return _ABSENT in problem.message and _ABSENT not in other.message


def _plain(message: str) -> str:
    """cfn-lint's message without JSON Schema's phrases; of a name that is not there the nearest."""
    if unknown := _UNKNOWN_KEY.search(message):
        near = f"; did you mean {unknown[2]}?" if unknown[2] else ""
        return f"unknown property {unknown[1]}{near}"
    if absent := _NOT_AMONG.search(message):
        names = re.findall(r"'([^']*)'", absent[2])
        return f"{_ABSENT} {absent[1]}{did_you_mean(absent[1], names)}"
    return message
