"""An upgrade rolls the pods that it has to, and comes back from one that does not get ready."""

from harness.cluster import kinds, synced
from harness.render.objects import Value, dig, items, text
from tests.e2e.lab import NAME, Lab

_PROPERTIES = "apps/torchserve/local/config.properties"
_FILES = "apps/torchserve/local/model-files.yaml"
_CHECKSUM = ("spec", "template", "metadata", "annotations", "checksum/config")


def _statuses(release: Value) -> list[str]:
    return [text(each, "status") for each in items(release, "status", "history")]


def test_upgrade_that_never_gets_ready_is_rolled_back(lab: Lab) -> None:
    good = lab.serving()
    version = dig(lab.helm_release(), "status", "history", 0, "version")
    lab.commit(lab.release(lab.pods_that("crash")), "A bad commit")

    def rolled_back(release: Value) -> bool:
        remediated = text(synced.condition(release, "Remediated"), "status") == "True"
        return remediated and _statuses(release)[0] == "deployed"

    with lab.timeline.step("commit → rolled back"):
        release = lab.until(kinds.HELM_RELEASE, NAME, rolled_back, seconds=90)
    newest = dig(release, "status", "history", 0, "version")
    assert isinstance(version, int)
    assert newest == version + 2, "a failed release and the one that undoes it"
    assert "failed" in _statuses(release)
    assert lab.serving() == good, "not one pod of the good release was replaced"


def test_changed_setting_rolls_the_pods(lab: Lab) -> None:
    before, checksum = lab.serving(), dig(lab.deployment(), *_CHECKSUM)
    with lab.timeline.step("commit → Ready"):
        commit = lab.sync(lab.replaced(_PROPERTIES, "job_queue_size=100", "job_queue_size=150"))
    assert all(synced.at(each, commit) for each in lab.api.every(kinds.KUSTOMIZATION))
    assert dig(lab.deployment(), *_CHECKSUM) != checksum
    assert lab.serving()
    assert not lab.serving() & before


def test_changed_model_rolls_the_pods(lab: Lab) -> None:
    before, checksum = lab.serving(), dig(lab.deployment(), *_CHECKSUM)
    digest = lab.bare.read(_FILES).partition("sha256: ")[2].split()[0]
    lab.sync(lab.replaced(_FILES, digest, digest[::-1]))
    assert dig(lab.deployment(), *_CHECKSUM) != checksum
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
