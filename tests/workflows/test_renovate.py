"""Everything that is pinned is kept current: Renovate finds it, or a reason explains why not."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.jars import lock
from tests.workflows.files import ROOT

CONFIG: dict[str, Any] = json.loads((ROOT / ".github/renovate.json").read_text())
_TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
# Where Renovate's own managers look, from their documentation.
_OWN = {
    "dockerfile": r"(^|/)([Dd]ocker|[Cc]ontainer)file[^/]*$",
    "github-actions": r"^\.github/workflows/[^/]+\.ya?ml$",
    "gomod": r"(^|/)go\.mod$",
    "flux": CONFIG["flux"]["managerFilePatterns"][0].strip("/"),
}


def _matches(patterns: list[str], path: str) -> bool:
    return any(re.search(pattern.removeprefix("/").removesuffix("/"), path) for pattern in patterns)


def _pins(manager: dict[str, Any]) -> list[dict[str, str]]:
    """What a manager of ours would find in this repository."""
    expressions = [each.replace("(?<", "(?P<") for each in manager["matchStrings"]]
    return [
        {**match.groupdict(), "file": path}
        for path in _TRACKED
        if _matches(manager["managerFilePatterns"], path)
        for expression in expressions
        for match in re.finditer(expression, (ROOT / path).read_text())
    ]


def test_nothing_is_younger_than_a_week() -> None:
    ages = [each.get("minimumReleaseAge") for each in (CONFIG, *CONFIG["packageRules"])]
    assert ages == ["7 days"] + [None] * len(CONFIG["packageRules"])
    assert CONFIG["internalChecksFilter"] == "strict"
    assert CONFIG["automerge"] is False


def test_every_manager_that_is_enabled_has_something_to_do() -> None:
    assert set(CONFIG["enabledManagers"]) == {"custom.regex", *_OWN}
    for pattern in _OWN.values():
        assert [path for path in _TRACKED if re.search(pattern, path)], pattern


@pytest.mark.parametrize(
    "manager", CONFIG["customManagers"], ids=lambda each: each["managerFilePatterns"][-1]
)
def test_a_manager_of_ours_finds_in_every_file_what_it_is_for(manager: dict[str, Any]) -> None:
    pins = _pins(manager)
    for pattern in manager["managerFilePatterns"]:
        assert [each for each in pins if _matches([pattern], each["file"])], pattern
    assert all(re.match(r"v?\d+\.\d+", each["currentValue"]) for each in pins)


def test_every_module_of_the_schemas_is_pins() -> None:
    text = (ROOT / "tools/schemas/modules.yaml").read_text()
    named = [each["depName"] for each in _pins(CONFIG["customManagers"][0])]
    assert named == re.findall(r"- module: (\S+)", text)


def test_flux_is_one_version_wherever_it_stands() -> None:
    pins = _pins(CONFIG["customManagers"][1])
    assert {each["file"] for each in pins} == {
        "clusters/production/flux-system/fluxinstance.yaml",
        "clusters/staging/flux-system/fluxinstance.yaml",
        "tools/schemas/modules.yaml",
    }
    assert len({each["currentValue"] for each in pins}) == 1


def test_every_java_library_is_found_and_a_moved_one_has_no_hash(tmp_path: Path) -> None:
    [manager] = [each for each in CONFIG["customManagers"] if "autoReplaceStringTemplate" in each]
    jars = lock.read(ROOT / "apps/torchserve/image/jars.lock")
    pins = _pins(manager)
    assert [
        f"{each['depName']}:{each['currentValue']}{each['depType'] or ''}" for each in pins
    ] == [jar.coordinates for jar in jars]

    template = manager["autoReplaceStringTemplate"]
    [expression] = [each.replace("(?<", "(?P<") for each in manager["matchStrings"]]
    for name in ("depName", "depType"):
        template = template.replace(f"{{{{{{{name}}}}}}}", rf"\g<{name}>")
    moved = re.sub(
        expression,
        template.replace("{{{newValue}}}", "9.9"),
        (ROOT / "apps/torchserve/image/jars.lock").read_text(),
    )
    path = tmp_path / "jars.lock"
    path.write_text(moved)
    assert [
        (jar.group, jar.artifact, jar.version, jar.classifier, jar.sha256)
        for jar in lock.read(path)
    ] == [(jar.group, jar.artifact, "9.9", jar.classifier, "") for jar in jars]


def test_every_chart_lies_where_the_manager_of_flux_looks() -> None:
    charts = [
        path
        for path in _TRACKED
        if path.endswith((".yaml", ".yml"))
        and not path.startswith("tests/")
        and re.search(
            r"^kind: (OCIRepository|HelmRepository)$", (ROOT / path).read_text(), re.MULTILINE
        )
    ]
    assert charts
    assert all(re.search(_OWN["flux"], path) for path in charts)


def test_kubernetes_is_raised_by_somebody() -> None:
    rules = [each for each in CONFIG["packageRules"] if each.get("enabled") is False]
    frozen = [each["matchFileNames"] for each in rules if "matchUpdateTypes" not in each]
    gateways = [f"tools/logging/{name}/go.mod" for name in ("gateway", "opensearch-gateway")]
    assert frozen == [gateways], "decision 30 says why"
    types = [each["matchUpdateTypes"] for each in rules if "matchUpdateTypes" in each]
    assert types == [["major", "minor"]]


def test_a_group_for_everything_and_a_reason_for_what_is_not_plain() -> None:
    for rule in CONFIG["packageRules"]:
        assert "groupName" in rule or "description" in rule
    assert all(each["description"] for each in CONFIG["customManagers"])
