"""An upgrade rolls the pods that it has to, and comes back from one that does not get ready."""

from collections.abc import Callable

from harness.core.values import Value, dig, items, mapping, text
from harness.kubernetes import kinds, pod_settings, reconciliation
from tests.e2e.scenario import NAME, Scenario, is_rolled_back

_PROPERTIES = "apps/torchserve/local/torchserve/config.properties"
_FILES = "apps/torchserve/local/torchserve/model-files.yaml"
_CONFIG, _LIST = "config.properties", "model-files.json"


def _statuses(release: Value) -> list[str]:
    return [text(each, "status") for each in items(release, "status", "history")]


def _look_again(scenario: Scenario, condition: Callable[[Value], bool]) -> Value:
    """The release as helm-controller sees it at its next look."""
    token = "again"
    scenario.api.reconcile(kinds.HELM_RELEASE, NAME, token=token)

    def has_looked(release: Value) -> bool:
        return text(release, "status", "lastHandledReconcileAt") == token and condition(release)

    return scenario.wait_for(kinds.HELM_RELEASE, NAME, has_looked)


def test_upgrade_that_never_gets_ready_isis_rolled_back(scenario: Scenario) -> None:
    """And stays a failure until a commit changes it."""
    good = scenario.serving()
    version = dig(scenario.helm_release(), "status", "history", 0, "version")
    scenario.commit(scenario.release(scenario.pods_that("crash")), "A bad commit")

    def undone(release: Value) -> bool:
        return is_rolled_back(release) and _statuses(release)[0] == "deployed"

    with scenario.timeline.step("commit → rolled back"):
        release = scenario.wait_for(kinds.HELM_RELEASE, NAME, undone, seconds=90)
    newest = dig(release, "status", "history", 0, "version")
    assert isinstance(version, int)
    assert newest == version + 2, "a failed release and the one that undoes it"
    assert "failed" in _statuses(release)
    assert scenario.serving() == good, "not one pod of the good release was replaced"
    assert is_rolled_back(_look_again(scenario, lambda release: not reconciliation.ready(release)))


def test_patch_alone_that_wasis_rolled_back_is_called_a_success(scenario: Scenario) -> None:
    """What the chart's README warns of: of what it rolled back, Flux compares chart and values."""
    good = scenario.serving()
    scenario.commit(scenario.release(scenario.patched_pods("crash")), "A bad patch")
    scenario.wait_for(kinds.HELM_RELEASE, NAME, is_rolled_back, seconds=90)
    release = _look_again(scenario, reconciliation.ready)
    assert text(reconciliation.condition(release, "Ready"), "reason") == "UpgradeSucceeded"
    assert scenario.serving() == good, "it runs without the patch"


def test_pods_of_the_last_release_keep_its_settings(draft: Scenario) -> None:
    """Whenever one of them starts: in the middle of a rollout, and after it was rolled back."""
    draft.sync(draft.release({"timeout": "20s", "values": {"replicas": 2}}))
    changed = draft.replacement(_PROPERTIES, "job_queue_size=100", "job_queue_size=150")
    draft.commit({**draft.release(draft.pods_that("stuck")), **changed}, "A bad commit")
    draft.api.wait_for(kinds.POD, lambda _: len(draft.pods()) == 3, seconds=60, namespace=NAME)
    new = [pod for pod in draft.pods() if not draft.is_ready(pod)]
    assert ["job_queue_size=150" in draft.settings(pod) for pod in new] == [True]
    _lose_one(draft)
    assert dig(draft.deployment(), "status", "updatedReplicas") == 1, "it is still rolling out"
    draft.wait_for(kinds.HELM_RELEASE, NAME, is_rolled_back, seconds=90)
    _lose_one(draft)


def _lose_one(scenario: Scenario) -> None:
    """A pod of the good release is lost; the one in its place has that release's settings."""
    before = scenario.serving()
    lost = next(pod for pod in scenario.pods() if scenario.is_ready(pod))
    scenario.api.delete(kinds.POD, text(lost, "metadata", "name"), NAME)

    def is_replaced(_: list[Value]) -> bool:
        return len(scenario.serving()) == 2 and len(scenario.serving() - before) == 1

    scenario.api.wait_for(kinds.POD, is_replaced, seconds=60, namespace=NAME)
    started = [pod for pod in scenario.pods() if scenario.is_ready(pod)]
    assert ["job_queue_size=100" in scenario.settings(pod) for pod in started] == [True, True]


def test_settings_are_kept_for_as_many_releases_as_can_come_back(scenario: Scenario) -> None:
    """A copy of the Deployment, without pods, is rolled more often than its history is long."""
    spec = mapping(scenario.deployment(), "spec")
    limit = spec["revisionHistoryLimit"]
    assert isinstance(limit, int)
    labels = {"app": "copy"}
    for queue in range(limit + 3):
        annotations = {f"{pod_settings.PREFIX}{_CONFIG}": f"job_queue_size={queue}"}
        template = {"metadata": {"labels": labels, "annotations": annotations}}
        template["spec"] = mapping(spec, "template", "spec")
        copied = {**spec, "replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": "copy", "namespace": NAME}
        scenario.api.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": copied}
        )
        newest = f"job_queue_size={queue}"
        scenario.api.wait_for(
            kinds.REPLICA_SET,
            lambda replica_sets, newest=newest: any(
                pod_settings.of(each)[_CONFIG] == newest for each in replica_sets
            ),
            seconds=30,
            namespace=NAME,
            labels="app=copy",
        )
    scenario.api.wait_for(
        kinds.REPLICA_SET,
        lambda replica_sets: (
            {pod_settings.of(each)[_CONFIG] for each in replica_sets}
            == {f"job_queue_size={queue}" for queue in range(2, limit + 3)}
        ),
        seconds=30,
        namespace=NAME,
        labels="app=copy",
        what="the newest ReplicaSet and its history",
    )
    scenario.api.delete(kinds.DEPLOYMENT, "copy", NAME)
    scenario.api.wait_for(
        kinds.REPLICA_SET,
        lambda replica_sets: not replica_sets,
        seconds=30,
        namespace=NAME,
        labels="app=copy",
    )


def test_changed_setting_rolls_the_pods(scenario: Scenario) -> None:
    before = scenario.serving()
    with scenario.timeline.step("commit → Ready"):
        commit = scenario.sync(
            scenario.replacement(_PROPERTIES, "job_queue_size=100", "job_queue_size=150")
        )
    assert all(
        reconciliation.at(each, commit) for each in scenario.api.list_all(kinds.KUSTOMIZATION)
    )
    assert "job_queue_size=150" in pod_settings.of(scenario.deployment())[_CONFIG]
    assert scenario.serving()
    assert not scenario.serving() & before


def test_changed_model_rolls_the_pods(scenario: Scenario) -> None:
    before = scenario.serving()
    digest = scenario.bare.read(_FILES).partition("sha256: ")[2].split()[0]
    scenario.sync(scenario.replacement(_FILES, digest, digest[::-1]))
    assert digest[::-1] in pod_settings.of(scenario.deployment())[_LIST]
    assert scenario.serving()
    assert not scenario.serving() & before


def test_change_elsewhere_rolls_no_pod(scenario: Scenario) -> None:
    before, version = (
        scenario.serving(),
        dig(scenario.helm_release(), "status", "history", 0, "version"),
    )
    scenario.sync({"docs/note.md": "Nothing that runs.\n", **scenario.note("greeting")})
    assert scenario.serving() == before
    assert dig(scenario.helm_release(), "status", "history", 0, "version") == version


def test_upgrade_beside_the_pods_rolls_none(scenario: Scenario) -> None:
    before, version = (
        scenario.serving(),
        dig(scenario.helm_release(), "status", "history", 0, "version"),
    )
    scenario.sync(scenario.release({"values": {"podDisruptionBudget": {"maxUnavailable": 2}}}))
    assert dig(scenario.helm_release(), "status", "history", 0, "version") != version
    assert scenario.serving() == before
