"""The layout of before groups, in which an environment's own folder was its only group's."""

import re
from pathlib import Path

from harness.core import yamlfile
from harness.core.errors import UsageError
from harness.core.repository import FIRST_GROUP, Repository
from harness.settings.groups import Changes

_VALUES_FROM = """\
  valuesFrom:
    - kind: ConfigMap
      name: torchserve-snapshot
      valuesKey: config.properties
      targetPath: config
      literal: true
    - kind: ConfigMap
      name: torchserve-snapshot
      valuesKey: model-files.yaml
"""
_LISTING = """\
# yaml-language-server: $schema=https://json.schemastore.org/kustomization
# The groups: each is a TorchServe of its own, with its own models (docs/groups.md).
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - torchserve
"""


def adopt(repository: Repository, env: str) -> Changes:
    """Every file of an environment's overlay moves into the folder of the group ``torchserve``.

    What the base of before held comes along: where the values come from, and the Helm test's model.

    Raises:
        UsageError: the environment has groups already.
    """
    app = repository.app(env)
    if not (app / "serving.yaml").is_file():
        raise UsageError(f"{env} has groups already", hint=f"harness groups list --env {env}")
    moved: Changes = {}
    for path in sorted(each for each in app.rglob("*") if each.is_file()):
        name = path.relative_to(app)
        text = yamlfile.read_text(path)
        if path.suffix in (".yaml", ".yml"):
            text = re.sub(r"(?<![\w./])\.\./", "../../", text)
        if name == Path("helmrelease.yaml"):
            text = _with_values_of_base(text)
        moved[path.relative_to(repository.root)] = None
        moved[app.relative_to(repository.root) / FIRST_GROUP / name] = text
    moved[app.relative_to(repository.root) / "kustomization.yaml"] = _LISTING
    return moved


def _with_values_of_base(release: str) -> str:
    if "valuesFrom:" not in release:
        release = release.replace("spec:\n", f"spec:\n{_VALUES_FROM}", 1)
    if "  values:\n" in release and not re.search(r"(?m)^    test:", release):
        test = "    test:\n      model: squeezenet1_1\n      answer: probability\n"
        release = release.replace("  values:\n", f"  values:\n{test}", 1)
    return release
