"""What runs since the first release is upgraded where it is to what this checkout has.

docs/upgrading.md tells a fork the same, object by object. What is listed here as gone or rolled is
listed there.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.kubernetes import kinds
from harness.local_cluster import local, placeholder_commit
from harness.render import diff
from harness.render.objects import stem
from harness.render.renderer import Renderer
from tests.e2e.scenario import NAME, Scenario
from tests.e2e.timeline import Timeline

FIRST = "69fd4c0663a166fb91ad54c08800d6ec4e10df3b"
_BEFORE_GROUPS = "apps/torchserve/local/helmrelease.yaml"
# Production's pods on production's nodes: a GPU for each and none to spare. Its sync Job too, which
# the API server gives no pod while its account is missing.
_SYNC: Value = {
    "enabled": True,
    "source": "s3://models",
    "region": "us-west-2",
    "existingClaim": "model-store",
}
_ON_GPUS: Value = {
    "timeout": "60s",
    "values": {"gpus": 1, "replicas": 3, "modelStore": {"sync": _SYNC}},
}
_NOTHING_ROLLS: Value = {"values": {"podDisruptionBudget": {"maxUnavailable": 2}}}
ACCOUNT = "torchserve-model-sync"
# Hooks that last as long as their Job.
HOOKS = frozenset({f"ConfigMap/{NAME}/{ACCOUNT}", f"NetworkPolicy/{NAME}/{ACCOUNT}"})
# Objects that an upgrade takes away on purpose, each named in docs/upgrading.md.
GONE = frozenset(
    {
        "NetworkPolicy/smoke/neighbour",
        "Pod/torchserve/torchserve-test-prediction",
        # Those of the routes: the Gateway has its own, which Flux applies before it prunes these.
        "BackendTrafficPolicy/torchserve/torchserve",
        "SecurityPolicy/torchserve/torchserve",
    }
)


@pytest.fixture(scope="module")
def history(checkout: Repository) -> Repository:
    """The checkout, with the first release in its history."""
    if not Git(checkout.root).resolve(FIRST):
        pytest.fail(f"the history ends before {FIRST[:12]}: git fetch --unshallow", pytrace=False)
    return checkout


@pytest.fixture
def scenario(checkout: Repository, history: Repository, timeline: Timeline) -> Iterator[Scenario]:
    """A cluster that has installed the first release."""
    with local.running(checkout, "upgrade", nodes_of="production") as cluster:
        scenario = Scenario(cluster, timeline)
        with timeline.step("the first release, installed"):
            _take_first(scenario)
            cluster.follow()
            on_gpus = scenario.release(_ON_GPUS, _BEFORE_GROUPS)
            cluster.sync(scenario.bare.commit(on_gpus, "On GPUs"))
        yield scenario


def _take_first(scenario: Scenario) -> None:
    """The first release on main, filled in for this machine as every other one is."""
    scenario.bare.restore(FIRST)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Repository(Path(scratch))
        scenario.bare.export(FIRST, tree.root)
        # The same models as here: settings that change together with the chart roll pods once more.
        ours = scenario.cluster.repository
        tree.build.symlink_to(ours.build)
        shutil.rmtree(tree.models)
        tree.models.symlink_to(ours.models)
        flat = tree.app("local")
        (flat / NAME).mkdir()
        for each in ("serving.yaml", "config.properties", "model-files.yaml"):
            (flat / each).rename(flat / NAME / each)
        shutil.copy(ours.group("local", NAME) / "serving.yaml", flat / NAME)
        filled = placeholder_commit.changes(tree, "local", scenario.cluster.url)
        before_groups = {path.replace(f"local/{NAME}/", "local/"): filled[path] for path in filled}
        scenario.bare.commit(before_groups, "Filled in")


def test_nothing_is_reinstalled_and_pods_roll_once(scenario: Scenario) -> None:
    before, sets, pods = scenario.uids(), _replica_sets(scenario), scenario.serving()
    scenario.cluster.take()
    commit = scenario.bare.commit(scenario.release(_ON_GPUS), "On GPUs")
    with scenario.timeline.step("commit → upgraded"):
        scenario.cluster.sync(commit)
    after = scenario.uids()
    assert {name for name in before if name not in after and not _by_content(name)} <= GONE | HOOKS
    renewed = {name for name, uid in before.items() if after.get(name, uid) != uid}
    assert renewed <= {f"ServiceAccount/{NAME}/{ACCOUNT}"}, "by the old chart's hook, at most"
    rolled = Counter(owner for name, owner in _replica_sets(scenario).items() if name not in sets)
    assert rolled == {f"{NAME}/{NAME}": 1}, "one Deployment, once"
    assert len(scenario.serving()) == len(pods)
    assert not scenario.serving() & pods
    # Flux owns it from here on: what it applies next keeps the object, and no hook makes another.
    scenario.cluster.sync(scenario.bare.commit(scenario.release(_NOTHING_ROLLS), "Another upgrade"))
    account = mapping(scenario.one(kinds.SERVICE_ACCOUNT, ACCOUNT, NAME), "metadata")
    assert account["uid"] == after[f"ServiceAccount/{NAME}/{ACCOUNT}"]
    assert mapping(account, "labels").get("kustomize.toolkit.fluxcd.io/name") == "policies"
    scenario.notes["ReplicaSets that are new"] = str(dict(rolled))


def _replica_sets(scenario: Scenario) -> dict[str, str]:
    """Each ReplicaSet, and the Deployment that it is of."""
    return {
        text(
            each, "metadata", "uid"
        ): f"{text(each, 'metadata', 'namespace')}/{text(owner, 'name')}"
        for each in scenario.api.list_all(kinds.REPLICA_SET)
        for owner in items(each, "metadata", "ownerReferences")
    }


def _by_content(name: str) -> bool:
    """Whether a name has the hash of a content, so that another content has another object."""
    return stem(name) != name


@pytest.mark.parametrize("env", ["staging", "production"])
def test_nothing_is_removed_or_made_anew(history: Repository, env: str) -> None:
    """The same of what the local cluster has not: gateway, drivers, policies, hooks."""
    renderer = Renderer(history)
    first, ours = renderer.at(env, FIRST), renderer.candidate(env)
    assert first.is_complete and ours.is_complete
    changes = diff.compare(first, ours)
    removed = {str(each.object) for each in changes if each.kind == "removed"}
    assert removed == GONE
    assert [str(each) for each in diff.dangers(changes) if each.kind == "immutable"] == []
