"""Two serving groups in one cluster: one comes, fails and goes, and the other's pods stay."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from harness.archives import model_store
from harness.core.repository import Repository
from harness.core.values import Value, merge, text
from harness.kubernetes import kinds, pod_settings, reconciliation
from harness.local_cluster import placeholder_commit
from harness.render import placeholders
from harness.settings import groups
from harness.smoke import run, target
from tests.e2e.scenario import NAME, Scenario, is_rolled_back

SECOND = "vision"
MODEL = "squeezenet1_1"
_RELEASE = "clusters/local/release.yaml"
_OVERLAY = f"apps/torchserve/local/{SECOND}/helmrelease.yaml"
_PROPERTIES = f"apps/torchserve/local/{NAME}/config.properties"


def second_group(scenario: Scenario) -> dict[str, str | None]:
    """What `harness groups add` writes into the tree of main: a group for one model."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Repository(Path(scratch))
        scenario.bare.export(scenario.bare.head(), tree.root)
        # As the rest of main: filled in with what this machine has built, and with placeholders.
        built = scenario.cluster.repository.built_models / "lock.yaml"
        if built.is_file():
            shutil.copy(built, tree.lock)
        changes = groups.add(tree, "local", SECOND, [MODEL])
        values = placeholders.load().values
        written = {
            path.as_posix(): content and placeholder_commit.fill(content, values, path)
            for path, content in groups.apply(tree, "local", changes).items()
        }
        # Else the new pods of both groups want the one free CPU, and an upgrade's time may run out.
        half = {"values": {"resources": {"requests": {"cpu": "500m"}}}}
        overlay = yaml.safe_load(written[_OVERLAY] or "")
        overlay["spec"] = merge(overlay["spec"], half)
        return {**written, _OVERLAY: yaml.safe_dump(overlay, sort_keys=False)}


@pytest.fixture(scope="module")
def both(shared: Scenario) -> str:
    """The commit with two groups."""
    shared.bare.restore(shared.base)
    return shared.bare.commit(second_group(shared), "A second group")


@pytest.fixture
def two(shared: Scenario, both: str) -> Scenario:
    """The shared cluster, Ready with two groups."""
    shared.cluster.sync(shared.bare.restore(both))
    for group in (NAME, SECOND):
        shared.wait_for_budget(group)
    return shared


def move_pointer(scenario: Scenario, commit: str) -> None:
    """Move the pointer, as a promotion or a rollback does; everything else is main's."""
    release = scenario.bare.read(_RELEASE)
    head, _, _ = release.partition("  ref:\n")
    rest = release[release.index("  # All that Flux reads") :]
    change = {_RELEASE: f"{head}  ref:\n    commit: {commit}\n{rest}"}
    scenario.cluster.sync(scenario.bare.commit(change, "Move the pointer"))


def test_smoke_and_garbage_collection_see_both(two: Scenario) -> None:
    report = run.run(target.on_this_machine(two.cluster))
    failed = {each.name: each.why for each in report.tests if each.outcome == "failed"}
    assert failed == {}
    releases = model_store.releases(two.api)
    assert set(releases) == {NAME, SECOND}
    assert all(map(reconciliation.ready, releases.values()))
    served = [pod_settings.of(two.one(kinds.DEPLOYMENT, each, NAME)) for each in releases]
    names = {file["name"] for each in served for file in json.loads(each["model-files.json"])}
    assert names
    assert names <= model_store.listed_archives(two.api, releases)


def test_a_group_that_never_gets_ready_leaves_the_others_serving(two: Scenario) -> None:
    """They are upgraded meanwhile, too."""
    first, second = two.serving(), two.serving(SECOND)
    changed = two.replacement(_PROPERTIES, "job_queue_size=100", "job_queue_size=150")
    bad = two.release(two.pods_that("crash"), _OVERLAY)
    two.commit({**bad, **changed}, "A bad group, and a good change of the other")

    def is_upgraded(deployment: Value) -> bool:
        config = pod_settings.of(deployment)["config.properties"]
        return "job_queue_size=150" in config and not two.serving() & first

    with two.timeline.step("commit → the other group upgraded"):
        two.wait_for(kinds.DEPLOYMENT, NAME, is_upgraded)
    two.wait_for(kinds.HELM_RELEASE, NAME, reconciliation.ready)
    assert two.serving(SECOND) == second
    with two.timeline.step("→ rolled back"):
        two.wait_for(kinds.HELM_RELEASE, SECOND, is_rolled_back, seconds=90)
    assert two.serving(SECOND) == second, "not one pod of the good release was replaced"
    assert len(two.serving()) == len(first)


def test_a_group_comes_with_a_promotion_and_goes_with_a_rollback(
    scenario: Scenario, both: str
) -> None:
    """Neither touches the other group, and it leaves nothing of its own."""
    scenario.bare.restore(scenario.base)
    move_pointer(scenario, scenario.base)
    before, pods = _apart(scenario.uids()), scenario.serving()
    scenario.cluster.sync(scenario.bare.commit(_files_of(scenario, both), "A second group"))
    assert not scenario.pods(SECOND), "main has it, the pointer does not"
    with scenario.timeline.step("pointer → second group Ready"):
        move_pointer(scenario, both)
    assert scenario.serving(SECOND)
    assert scenario.serving() == pods
    assert _new_uids(before, scenario) == {}
    with scenario.timeline.step("pointer back → second group gone"):
        move_pointer(scenario, scenario.base)
        for kind in (kinds.HELM_RELEASE, kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.POD):
            scenario.api.wait_for(kind, _without_second, seconds=60)
    assert scenario.serving() == pods
    assert _apart(scenario.uids()) == before


def _files_of(scenario: Scenario, commit: str) -> dict[str, str | None]:
    folder = "apps/torchserve/local"
    paths = scenario.bare.git.files(commit, folder)
    return {path: scenario.bare.git.read(commit, path) for path in paths}


def _without_second(objects: list[Value]) -> bool:
    return not any(text(each, "metadata", "name").startswith(SECOND) for each in objects)


def _apart(uids: Mapping[str, str]) -> dict[str, str]:
    """Every object but Helm's records, of which each upgrade makes one."""
    return {name: uid for name, uid in uids.items() if "sh.helm.release" not in name}


def _new_uids(before: Mapping[str, str], scenario: Scenario) -> dict[str, str]:
    after = scenario.uids()
    return {name: uid for name, uid in before.items() if after.get(name) != uid}
