"""An upgrade rolls the pods that it has to, and comes back from one that does not get ready."""

from harness.core.values import Value, dig, items, mapping, text
from harness.kubernetes import kinds, pod_settings, reconciliation
from tests.e2e.lab import NAME, Lab

_PROPERTIES = "apps/torchserve/local/config.properties"
_FILES = "apps/torchserve/local/model-files.yaml"
_CONFIG, _LIST = "config.properties", "model-files.json"


def _statuses(release: Value) -> list[str]:
    return [text(each, "status") for each in items(release, "status", "history")]


def test_upgrade_that_never_gets_ready_is_rolled_back(lab: Lab) -> None:
    good = lab.serving()
    version = dig(lab.helm_release(), "status", "history", 0, "version")
    lab.commit(lab.release(lab.pods_that("crash")), "A bad commit")

    def rolled_back(release: Value) -> bool:
        remediated = text(reconciliation.condition(release, "Remediated"), "status") == "True"
        return remediated and _statuses(release)[0] == "deployed"

    with lab.timeline.step("commit → rolled back"):
        release = lab.wait_for(kinds.HELM_RELEASE, NAME, rolled_back, seconds=90)
    newest = dig(release, "status", "history", 0, "version")
    assert isinstance(version, int)
    assert newest == version + 2, "a failed release and the one that undoes it"
    assert "failed" in _statuses(release)
    assert lab.serving() == good, "not one pod of the good release was replaced"


def test_pods_of_the_last_release_keep_its_settings(draft: Lab) -> None:
    """Whenever one of them starts: in the middle of a rollout, and after it was rolled back."""
    draft.sync(draft.release({"timeout": "20s", "values": {"replicas": 2}}))
    changed = draft.replaced(_PROPERTIES, "job_queue_size=100", "job_queue_size=150")
    draft.commit({**draft.release(draft.pods_that("stuck")), **changed}, "A bad commit")
    draft.api.wait_for(kinds.POD, lambda _: len(draft.pods()) == 3, seconds=60, namespace=NAME)
    new = [pod for pod in draft.pods() if not draft.is_ready(pod)]
    assert ["job_queue_size=150" in draft.settings(pod) for pod in new] == [True]
    _lose_one(draft)
    assert dig(draft.deployment(), "status", "updatedReplicas") == 1, "it is still rolling out"

    def rolled_back(release: Value) -> bool:
        return text(reconciliation.condition(release, "Remediated"), "status") == "True"

    draft.wait_for(kinds.HELM_RELEASE, NAME, rolled_back, seconds=90)
    _lose_one(draft)


def _lose_one(lab: Lab) -> None:
    """A pod of the good release is lost; the one in its place has that release's settings."""
    before = lab.serving()
    lost = next(pod for pod in lab.pods() if lab.is_ready(pod))
    lab.api.delete(kinds.POD, text(lost, "metadata", "name"), NAME)

    def replaced(_: list[Value]) -> bool:
        return len(lab.serving()) == 2 and len(lab.serving() - before) == 1

    lab.api.wait_for(kinds.POD, replaced, seconds=60, namespace=NAME)
    started = [pod for pod in lab.pods() if lab.is_ready(pod)]
    assert ["job_queue_size=100" in lab.settings(pod) for pod in started] == [True, True]


def test_settings_are_kept_for_as_many_releases_as_can_come_back(lab: Lab) -> None:
    """A copy of the Deployment, without pods, is rolled more often than its history is long."""
    spec = mapping(lab.deployment(), "spec")
    kept = spec["revisionHistoryLimit"]
    assert isinstance(kept, int)
    labels = {"app": "copy"}
    for queue in range(kept + 3):
        annotations = {f"{pod_settings.PREFIX}{_CONFIG}": f"job_queue_size={queue}"}
        template = {"metadata": {"labels": labels, "annotations": annotations}}
        template["spec"] = mapping(spec, "template", "spec")
        copied = {**spec, "replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": "copy", "namespace": NAME}
        lab.api.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": copied}
        )
        newest = f"job_queue_size={queue}"
        lab.api.wait_for(
            kinds.REPLICA_SET,
            lambda found, newest=newest: any(
                pod_settings.of(each)[_CONFIG] == newest for each in found
            ),
            seconds=30,
            namespace=NAME,
            labels="app=copy",
        )
    lab.api.wait_for(
        kinds.REPLICA_SET,
        lambda found: (
            {pod_settings.of(each)[_CONFIG] for each in found}
            == {f"job_queue_size={queue}" for queue in range(2, kept + 3)}
        ),
        seconds=30,
        namespace=NAME,
        labels="app=copy",
        what="the newest ReplicaSet and its history",
    )
    lab.api.delete(kinds.DEPLOYMENT, "copy", NAME)
    lab.api.wait_for(
        kinds.REPLICA_SET, lambda found: not found, seconds=30, namespace=NAME, labels="app=copy"
    )


def test_changed_setting_rolls_the_pods(lab: Lab) -> None:
    before = lab.serving()
    with lab.timeline.step("commit → Ready"):
        commit = lab.sync(lab.replaced(_PROPERTIES, "job_queue_size=100", "job_queue_size=150"))
    assert all(reconciliation.at(each, commit) for each in lab.api.list_all(kinds.KUSTOMIZATION))
    assert "job_queue_size=150" in pod_settings.of(lab.deployment())[_CONFIG]
    assert lab.serving()
    assert not lab.serving() & before


def test_changed_model_rolls_the_pods(lab: Lab) -> None:
    before = lab.serving()
    digest = lab.bare.read(_FILES).partition("sha256: ")[2].split()[0]
    lab.sync(lab.replaced(_FILES, digest, digest[::-1]))
    assert digest[::-1] in pod_settings.of(lab.deployment())[_LIST]
    assert lab.serving()
    assert not lab.serving() & before


def test_change_elsewhere_rolls_no_pod(lab: Lab) -> None:
    before, version = lab.serving(), dig(lab.helm_release(), "status", "history", 0, "version")
    lab.sync({"docs/note.md": "Nothing that runs.\n", **lab.note("greeting")})
    assert lab.serving() == before
    assert dig(lab.helm_release(), "status", "history", 0, "version") == version


def test_upgrade_beside_the_pods_rolls_none(lab: Lab) -> None:
    before, version = lab.serving(), dig(lab.helm_release(), "status", "history", 0, "version")
    lab.sync(lab.release({"values": {"podDisruptionBudget": {"maxUnavailable": 2}}}))
    assert dig(lab.helm_release(), "status", "history", 0, "version") != version
    assert lab.serving() == before
