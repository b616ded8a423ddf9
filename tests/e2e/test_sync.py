"""A commit arrives: in order, whole, and without what it takes away."""

import yaml

from harness.core.values import Value, text
from harness.kubernetes import kinds, reconciliation
from tests.e2e.scenario import APPS, INFRA, NAME, STORAGE, Scenario


def test_commit_is_applied(scenario: Scenario) -> None:
    with scenario.timeline.step("commit → Ready"):
        scenario.sync(scenario.note("greeting", "hello"))
    greeting = scenario.one(kinds.CONFIG_MAP, "greeting", NAME)
    assert greeting["data"] == {"value": "hello"}
    scenario.notes["the interval alone, s"] = "≤ 60 (source) + ≤ 600 (HelmRelease)"


def test_kustomizations_follow_their_dependencies(scenario: Scenario) -> None:
    changes = scenario.note("greeting")
    commit = scenario.commit(changes)
    order: list[str] = []

    def all_are_there(kustomizations: list[Value]) -> bool:
        for each in kustomizations:
            name = text(each, "metadata", "name")
            if name not in order and reconciliation.at(each, commit):
                order.append(name)
        return len(order) == len(kustomizations)

    scenario.api.wait_for(kinds.KUSTOMIZATION, all_are_there, seconds=60)
    assert [name for name in order if name != kinds.ROOT] == ["policies", "storage", NAME]


def test_missing_dependency_waits_and_says_so(scenario: Scenario) -> None:
    scenario.commit(scenario.replacement(APPS, "- name: storage", "- name: not-there"))
    message = scenario.failing(kinds.KUSTOMIZATION, NAME, why="not-there")
    assert "not found" in message
    assert scenario.serving(), "what ran goes on"


def test_broken_dependency_holds_back_what_follows(scenario: Scenario) -> None:
    gone = scenario.replacement(INFRA, "path: ./infra/storage", "path: ./infra/gone")
    bad = scenario.commit(gone)
    scenario.failing(kinds.KUSTOMIZATION, "storage", why="no such file or directory")
    scenario.failing(kinds.KUSTOMIZATION, NAME, why="is not ready")
    after = scenario.one(kinds.KUSTOMIZATION, NAME, kinds.FLUX_NAMESPACE)
    assert not text(after, "status", "lastAttemptedRevision").endswith(bad)


def test_prune_takes_what_the_commit_takes_and_nothing_else(draft: Scenario) -> None:
    draft.sync(draft.note("stays"))
    draft.sync(draft.note("goes"))
    before = draft.uids()
    listed = yaml.safe_load(draft.bare.read(STORAGE))
    listed["resources"].remove("goes.yaml")
    with draft.timeline.step("commit → pruned"):
        draft.sync({"infra/storage/goes.yaml": None, STORAGE: yaml.safe_dump(listed)})
    after = draft.uids()
    assert before.keys() - after.keys() == {f"ConfigMap/{NAME}/goes"}
    assert {name for name in before if after.get(name, before[name]) != before[name]} == set()
