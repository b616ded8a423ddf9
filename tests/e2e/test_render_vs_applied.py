"""`harness render` is right about what Flux applies: for this repository, and for others."""

import random
from pathlib import Path

import pytest
import yaml

from tests.e2e import render_vs_applied
from tests.e2e.scenario import INFRA, STORAGE, Scenario

_PV = "infra/storage/persistentvolume.yaml"
_VALUES: list[dict[str, object]] = [
    {"replicas": 2},
    {"drainSeconds": 45, "deregisterSeconds": 7},
    {"podDisruptionBudget": {"maxUnavailable": 2}},
    {"rollout": {"maxSurge": 2, "maxUnavailable": 1}},
    {"priorityClassName": ""},
    {"nodeSelector": {"kubernetes.io/os": "linux"}},
    {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]},
    {"networkPolicy": {"inferenceFrom": [], "metricsFrom": []}},
    {"sharedMemory": "512Mi", "workspace": "1536Mi"},
    {"resources": {"requests": {"cpu": "1500m", "memory": "3Gi", "ephemeral-storage": "2Gi"}}},
]
_NOTES = [
    "plain",
    "${ENVIRONMENT}",
    "${ENVIRONMENT:-other}",
    "${NOT_THERE:=default}",
    "$$kept$$",
    "${REGISTRY}/a/${ENVIRONMENT}",
    "0123",
    "true",
    "a: b # c",
    "line\nline\n",
]
_PATCHES: list[dict[str, object]] = [
    {"commonMetadata": {"labels": {"team": "ml"}, "annotations": {"note": "x y"}}},
    {
        "patches": [
            {
                "target": {"kind": "PersistentVolumeClaim"},
                "patch": (
                    '[{"op": "add", "path": "/metadata/annotations", "value": {"patched": "yes"}}]'
                ),
            }
        ]
    },
    {
        "postBuild": {
            "substitute": {"ENVIRONMENT": "inline"},
            "substituteFrom": [{"kind": "ConfigMap", "name": "site"}],
        }
    },
]


def _random_changes(scenario: Scenario, seed: int) -> dict[str, str | None]:
    """One to three changes that an engineer might make, drawn by ``seed``."""
    drawn = random.Random(seed)  # noqa: S311
    changes: dict[str, str | None] = {}
    if drawn.random() < 0.6:
        changes |= scenario.release({"values": drawn.choice(_VALUES)})
    if drawn.random() < 0.7:
        changes |= scenario.note(f"note-{seed}", drawn.choice(_NOTES))
    if drawn.random() < 0.5 or not changes:
        documents = list(yaml.safe_load_all(scenario.bare.read(INFRA)))
        chosen = drawn.choice(_PATCHES)
        for flux in documents:
            if flux["metadata"]["name"] == "storage":
                flux["spec"] |= chosen
        changes[INFRA] = yaml.safe_dump_all(documents)
    return changes


def _assert_agreement(scenario: Scenario, commit: str, folder: Path) -> None:
    scenario.bare.export(commit, folder)
    rendered = render_vs_applied.render(scenario.cluster.repository, folder, "local")
    assert list(render_vs_applied.differences(scenario.api, rendered)) == []
    scenario.notes["objects compared"] = len(rendered.objects)


def test_render_and_flux_agree_on_this_repository(scenario: Scenario, tmp_path: Path) -> None:
    _assert_agreement(scenario, scenario.bare.head(), tmp_path)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        pytest.param(_PV, "5Gi", "6Gi", "is '5Gi', was rendered as '6Gi'", id="a value"),
        pytest.param(STORAGE, "- persistentvolume.yaml", "", "not rendered", id="an object less"),
        pytest.param(
            _PV, "name: torchserve-model-store", "name: other", "not applied", id="a name"
        ),
        pytest.param(_PV, "  volumeMode: Filesystem\n", "", "volumeMode", id="a field less"),
    ],
)
def test_a_difference_is_seen(
    scenario: Scenario, tmp_path: Path, path: str, old: str, new: str, expected: str
) -> None:
    scenario.bare.export(scenario.bare.head(), tmp_path)
    file = tmp_path / path
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))
    differences = list(
        render_vs_applied.differences(
            scenario.api, render_vs_applied.render(scenario.cluster.repository, tmp_path, "local")
        )
    )
    assert any(expected in each for each in differences), differences


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Twenty seconds each: a few of them, or all that are asked for."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(30 if metafunc.config.getoption("--all") else 8))


def test_render_and_flux_agree_on_a_variation(shared: Scenario, seed: int, tmp_path: Path) -> None:
    shared.bare.restore(shared.base)
    commit = shared.bare.commit(_random_changes(shared, seed), f"Variation {seed}")
    shared.cluster.sync(commit)
    _assert_agreement(shared, commit, tmp_path)
