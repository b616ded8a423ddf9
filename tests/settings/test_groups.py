"""Groups come and go, and models move between them: whole or not at all, each step checked."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cli
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.models.catalog import load_catalog
from harness.policy import engine
from harness.promotion import collect
from harness.render import digest
from harness.render.renderer import Renderer
from harness.settings import group_layout, groups
from harness.settings.serving_file import ServingFile
from harness.snapshot import config
from tests.support import variation

MODELS = ("mtcnn", "silero_vad", "squeezenet1_1")
APP = Path("apps/torchserve/staging")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    return variation.copy(tmp_path)


def test_a_group_is_added_to_each_environment_and_nothing_is_found(repository: Repository) -> None:
    for env in repository.environments:
        argv = ["groups", "add", "speech", "silero_vad", "--env", env]
        assert cli.main(argv) == 0
        for _ in range(2):
            argv = ["groups", "move", "silero_vad", "--to", "speech", "--env", env]
            assert cli.main(argv) == 0
    report = engine.check(repository)
    # GPUs that the node group does not have, time in which two groups take turns at the store: that
    # is what a second group costs.
    costs = {"gpu/rollout-fits", "helm/sync-turns"}
    assert {each.rule for each in report.findings} <= costs


def test_a_model_moves_in_three_steps_and_is_served_in_each(repository: Repository) -> None:
    groups.apply(repository, "staging", groups.add(repository, "staging", "speech", ["mtcnn"]))
    served = []
    for _ in range(3):
        served.append({each.name: each for each in groups.read(repository, "staging")})
        step = groups.move(repository, "staging", "mtcnn", "speech")
        groups.apply(repository, "staging", step.changes)
    assert step.step == 0
    both = [
        ("mtcnn" in each["speech"].models, "mtcnn" in each["torchserve"].models) for each in served
    ]
    assert both == [(False, True), (True, False), (True, False)]
    assert served[1]["torchserve"].unrouted == ("mtcnn",)
    assert served[2]["torchserve"].unrouted == ()
    assert (
        "mtcnn" not in (repository.group("staging", "torchserve") / "model-files.yaml").read_text()
    )


def test_the_helm_test_of_a_model_ends_with_its_last_step(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    release = repository.group("staging", "torchserve") / "helmrelease.yaml"
    groups.apply(
        repository, "staging", groups.add(repository, "staging", "pictures", ["squeezenet1_1"])
    )
    argv = ["groups", "move", "squeezenet1_1", "--to", "pictures", "--env", "staging"]
    for step in (2, 3):
        tested = yaml.safe_load(release.read_text())["spec"]["values"]["test"]["model"]
        assert tested == "squeezenet1_1"
        assert cli.main(argv) == 0
        assert f"step {step} of 3" in capsys.readouterr().err
    assert "test" not in yaml.safe_load(release.read_text())["spec"]["values"]
    assert "random picture" not in release.read_text()


def test_the_settings_of_a_model_move_with_it(repository: Repository) -> None:
    path = repository.group("staging", "torchserve") / "serving.yaml"
    path.write_text(path.read_text().replace("mtcnn: {}", "mtcnn:\n    maxWorkers: 3"))
    groups.apply(repository, "staging", groups.add(repository, "staging", "faces", ["mtcnn"]))
    file = ServingFile.read(repository.group("staging", "faces") / "serving.yaml")
    assert file.models == {"mtcnn": {"maxWorkers": 3}}
    assert file.unrouted == {"mtcnn"}


def test_a_removed_group_leaves_the_files_of_before(repository: Repository) -> None:
    before = _files(repository)
    groups.apply(repository, "staging", groups.add(repository, "staging", "speech", ["mtcnn"]))
    assert _files(repository) != before
    groups.apply(repository, "staging", groups.remove(repository, "staging", "speech"))
    assert _files(repository) == before


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["add", "Speech", "mtcnn"], 2, "is not a name for a group"),
        (["add", "base", "mtcnn"], 2, "is not a name for a group"),
        (["add", "torchserve", "mtcnn"], 2, "has a group 'torchserve' already"),
        (["add", "speech", "mtcn"], 2, "no model 'mtcn'"),
        (["add", "speech", "mtcnn", "--like", "vision"], 2, "no group 'vision'"),
        (["remove", "torchserve"], 2, "it stays"),
        (["remove", "vision"], 2, "no group 'vision'"),
        (["move", "mtcnn", "--to", "vision"], 2, "no group 'vision'"),
        (["move", "nothing", "--to", "torchserve"], 2, "no group of staging serves 'nothing'"),
        (["adopt-layout"], 2, "has groups already"),
    ],
)
def test_a_mistake_writes_nothing(
    repository: Repository,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    code: int,
    message: str,
) -> None:
    before = _files(repository)
    assert cli.main(["groups", *argv, "--env", "staging"]) == code
    assert message in capsys.readouterr().err
    assert _files(repository) == before


def test_settings_that_do_not_fit_write_nothing(repository: Repository) -> None:
    path = repository.group("staging", "torchserve") / "serving.yaml"
    path.write_text(path.read_text().replace("numberOfGpu: 1", "numberOfGpu: one"))
    before = _files(repository)
    with pytest.raises(HarnessError, match="numberOfGpu") as error:
        groups.apply(repository, "staging", groups.add(repository, "staging", "new", ["mtcnn"]))
    assert str(repository.root) in str(error.value), "not the copy in which it was tried"
    assert _files(repository) == before


def test_a_model_that_cannot_be_read_is_named_where_it_is(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository.models / "mtcnn/model.yaml"
    for text in ("", "- 1\n"):
        path.write_text(text)
        assert cli.main(["groups", "add", "faces", "mtcnn", "--env", "staging", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["at"].startswith(str(path))


def test_the_last_model_does_not_leave_its_group_empty(repository: Repository) -> None:
    groups.apply(repository, "staging", groups.add(repository, "staging", "faces", ["mtcnn"]))
    for _ in range(2):
        step = groups.move(repository, "staging", "mtcnn", "faces")
        groups.apply(repository, "staging", step.changes)
    for _ in range(2):
        step = groups.move(repository, "staging", "mtcnn", "torchserve")
        groups.apply(repository, "staging", step.changes)
    with pytest.raises(HarnessError, match="all that faces serves") as error:
        groups.move(repository, "staging", "mtcnn", "torchserve")
    assert error.value.hint == "harness groups remove faces --env staging"


def test_json_says_what_was_written_and_what_is_next(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["groups", "add", "speech", "mtcnn", "--env", "staging", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert f"{APP}/speech/config.properties" in answer["written"]
    assert answer["group"] == {"name": "speech", "models": [], "unrouted": ["mtcnn"]}
    assert any("harness groups move mtcnn --to speech" in line for line in answer["next"])


def test_the_layout_of_before_is_served_as_one_group_and_can_be_adopted(
    repository: Repository,
) -> None:
    app = repository.app("staging")
    after = _files(repository)
    for path in list((app / "torchserve").iterdir()):
        text = (
            path.read_text().replace("../../../../", "../../../").replace("../../base", "../base")
        )
        (app / path.name).write_text(text)
        path.unlink()
    (app / "torchserve").rmdir()
    assert repository.groups("staging") == ["torchserve"]
    assert config.stale(repository, "staging") == {}
    release = app / "helmrelease.yaml"
    whole = release.read_text()
    release.write_text(re.sub(r"(?s)  valuesFrom:.*?(?=  values:)", "", whole))
    [finding] = [each for each in engine.check(repository).findings if each.rule == "render/helm"]
    assert finding.fix == "run `harness groups adopt-layout --env staging`"
    assert finding.location.path == APP / "kustomization.yaml"
    release.write_text(whole)

    groups.apply(repository, "staging", group_layout.adopt(repository, "staging"))

    listing = yaml.safe_load((app / "kustomization.yaml").read_text())
    assert listing["resources"] == ["torchserve"], "before groups there were no components"
    after[str(app / "kustomization.yaml")] = (app / "kustomization.yaml").read_text()
    assert _files(repository) == after


_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(_NAMES, st.sampled_from(["one", "two", "three"]), min_size=1, max_size=8),
)
def test_the_snapshots_of_any_groups_are_the_catalog(
    tmp_path_factory: pytest.TempPathFactory, assignment: dict[str, str]
) -> None:
    repository = Repository(tmp_path_factory.mktemp("groups"))
    lock = {}
    for name in assignment:
        folder = repository.models / name
        folder.mkdir(parents=True)
        artifact = {"adopted": {"mar": f"{name}.mar"}}
        model = {"name": name, "version": "1.0", "description": "m", "artifact": artifact}
        serving = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 1, "maxBatchDelay": 1}
        (folder / "model.yaml").write_text(yaml.safe_dump({**model, "serving": serving}))
        lock[name] = {"version": "1.0", "mar": f"{name}.mar", "sha256": "UNSET", "size": 0}
    repository.lock.write_text(yaml.safe_dump({"models": lock}))
    (repository.root / "clusters/demo").mkdir(parents=True)
    server = {"numberOfGpu": 0, "jobQueueSize": 1, "numberOfNettyThreads": 1}
    for group in set(assignment.values()):
        folder = repository.root / "apps/torchserve/demo" / group
        folder.mkdir(parents=True)
        models: dict[str, object] = {name: {} for name in assignment if assignment[name] == group}
        (folder / "serving.yaml").write_text(yaml.safe_dump({"server": server, "models": models}))

    snapshots = [
        config.load(repository, "demo", group=group) for group in repository.groups("demo")
    ]

    names = [name for each in snapshots for name in each.models.models]
    assert sorted(names) == sorted(load_catalog(repository.models).models)
    stores = [file.name for each in snapshots for file in each.model_files]
    assert sorted(stores) == sorted(entry["mar"] for entry in lock.values())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b.c", "d-e", "f_g"]), unique=True, min_size=1),
    st.booleans(),
    st.sampled_from(["  # a comment\n", ""]),
)
def test_a_model_that_comes_and_goes_leaves_the_text_as_it_was(
    names: list[str], flow: bool, comment: str
) -> None:
    listed = ", ".join(f"{name}: {{}}" for name in names)
    block = "".join(f"{comment}  {name}:\n    maxWorkers: 2\n" for name in names)
    head = "# kept\nserver:\n  # kept too\n  numberOfGpu: 1\n"
    text = head + (f"models: {{{listed}}}\n" if flow else f"models:\n{block}")
    file = ServingFile(Path("serving.yaml"), text)
    longer = file.with_model("new", {"maxWorkers": 1}).with_unrouted({"new"})
    assert longer.text.startswith(head)
    assert set(longer.models) == {*names, "new"}
    assert longer.routed == set(names)
    back = longer.without_model("new")
    assert back.value == file.value
    assert flow or back.text == text


def _files(repository: Repository) -> dict[str, str]:
    app = repository.app("staging")
    return {str(path): path.read_text() for path in app.rglob("*") if path.is_file()}


def test_a_release_is_all_its_groups(repository: Repository) -> None:
    """A promotion compares digests and looks for images: neither leaves a group out."""
    groups.apply(repository, "staging", groups.add(repository, "staging", "speech", ["silero_vad"]))
    before = Renderer(repository).candidate("staging")
    release = repository.group("staging", "speech") / "helmrelease.yaml"
    release.write_text(
        release.read_text().replace(
            "  values:\n", f"  values:\n    image:\n      digest: sha256:{'1' * 64}\n", 1
        )
    )
    after = Renderer(repository).candidate("staging")
    assert digest.release_digest(before) != digest.release_digest(after)
    assert [len(collect.images(each)) for each in (before, after)] == [1, 2]
