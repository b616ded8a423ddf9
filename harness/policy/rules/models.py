"""The models: what their files say reaches something that reads it."""

from collections.abc import Iterator

from harness.core.problem import Location, Problem
from harness.core.values import dig, mapping
from harness.image_sets import load, of_model
from harness.models import config_keys, requirement_lines
from harness.policy.finding import Severity
from harness.policy.project import Project
from harness.policy.rule import rule


@rule(
    "models/known-settings",
    why="a key that TorchServe does not know changes nothing, and no log says so",
    fix="correct the key; below `config.handler` any key is the handler's own",
    severity=Severity.WARNING,
)
def known_settings(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    for path in sorted(project.repository.models.glob("*/model.yaml")):
        for model in project.documents(str(path.relative_to(root))):
            for key, message in config_keys.unknown(dig(model.value, "config")):
                yield Problem(message, model.at(("config", *key)))


@rule(
    "models/packages",
    why="a handler that imports what its image lacks never starts: the rollout rolls back",
    fix="run `make requirements`; a model whose packages are in another image set is served by a "
    "group of that set: `harness groups add GROUP MODEL --set SET`",
)
def packages_of_models(project: Project) -> Iterator[Problem]:
    root = project.repository.root
    requirements, sets = requirement_lines.model_files(project.repository), load(root)
    unresolved: dict[Problem, None] = {}
    for environment in project.environments.values():
        for group, name in environment.installed.groups.items():
            pins = environment.installed.packages.get(name, {})
            path = f"apps/torchserve/{environment.name}/{group}/serving.yaml"
            for serving in project.documents(path) if pins else ():
                for model in mapping(serving.value, "models"):
                    file, python = requirements.get(model), sets[name].python
                    lacking = list(requirement_lines.lacking(file, pins, python))
                    theirs = [each.name for each in of_model(root, model)] if lacking else [name]
                    if name not in theirs:
                        where = f"the packages of {model} are in image set {', '.join(theirs)}"
                        message = f"{where}, and group {group} runs set {name}"
                        yield Problem(message, serving.at(("models", model)))
                        continue
                    for at, line in lacking:
                        place = Location(at.path.relative_to(root), at.line)
                        unresolved[Problem(f"{line} is not in image set {name}", place)] = None
    yield from unresolved
