"""The models: what their files say reaches something that reads it."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig
from harness.models import config_keys
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
