"""Image sets come and go as files; a group that runs one runs its image and no other."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli, image_sets
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.facts.serving import servers
from harness.promotion import collect
from harness.render.renderer import Renderer
from harness.settings import sets
from tests.support import variation

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    return variation.copy(tmp_path)


@pytest.fixture
def run(repository: Repository) -> Callable[..., None]:
    def run(words: str) -> None:
        assert cli.main(words.split()) == 0, words

    return run


def _lock(repository: Repository, name: str, text: str = "onnxruntime==1.32.0\n") -> None:
    """What `make requirements` would write for a set."""
    image_set = image_sets.find(repository.root, name)
    for path in (image_set.lock, image_set.requirements):
        (repository.root / path).write_text(text)


def _commit(root: Path) -> None:
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    folders = [each for each in ("apps", "models", "harness") if (root / each).exists()]
    for argv in (["init", "--quiet"], ["add", *folders], ["commit", "--quiet", "-m", "change"]):
        subprocess.run([*git, *argv], cwd=root, check=True)


def _two_sets(repository: Repository, run: Callable[..., None]) -> None:
    """magika in a group of its own, on a set of its own, in every environment."""
    run("sets add onnx-1 magika")
    _lock(repository, "onnx-1")
    for env in ("local", "staging", "production"):
        run(f"groups add files magika --set onnx-1 --env {env}")
        for _ in range(3):
            run(f"groups move magika --to files --env {env}")
    run(f"image pin {DIGEST}")
    run(f"image pin {OTHER} --set onnx-1")


def test_a_group_of_another_set_runs_its_image_and_the_others_keep_theirs(
    repository: Repository, run: Callable[..., None]
) -> None:
    _two_sets(repository, run)
    environment = Renderer(repository).candidate("staging")
    images = {each.group: str(each.container.value["image"]) for each in servers(environment)}
    assert {group: image.rpartition("@")[2] for group, image in images.items()} == {
        "torchserve": DIGEST,
        "files": OTHER,
    }
    assert dict(environment.installed.groups) == {"torchserve": "default", "files": "onnx-1"}
    # Each is copied, signed and asked for in the registry.
    assert sorted(each.digest for each in collect.images(environment)) == [DIGEST, OTHER]
    report = engine.check(repository)
    costs = {"gpu/rollout-fits", "helm/sync-turns", "fits/node", "gpu/fits"}
    of_ours = {"release/one-image", "models/packages", "environments/same-objects"}
    assert {each.rule for each in report.findings} & of_ours == set(), costs


def test_a_group_may_not_run_another_sets_image(
    repository: Repository, run: Callable[..., None]
) -> None:
    _two_sets(repository, run)
    release = repository.group("production", "files") / "helmrelease.yaml"
    text = release.read_text()
    release.write_text(
        text.replace("  values:\n", f"  values:\n    image:\n      digest: {DIGEST}\n")
    )
    [finding] = [
        each for each in engine.check(repository).findings if each.rule == "release/one-image"
    ]
    assert "is not the image of image set onnx-1, which is sha256:bbb" in finding.message
    assert finding.location.path == Path("apps/torchserve/production/files/helmrelease.yaml")


def test_a_model_is_served_by_groups_of_a_set_that_has_its_packages(
    repository: Repository, run: Callable[..., None]
) -> None:
    run("sets add onnx-1 magika --instead-of default")
    _lock(repository, "onnx-1")
    findings = [
        each for each in engine.check(repository).findings if each.rule == "models/packages"
    ]
    assert {each.message for each in findings} == set()  # the default still has onnxruntime
    (repository.root / "apps/torchserve/image/requirements.txt").write_text("numpy==2.4.6\n")
    findings = [
        each for each in engine.check(repository).findings if each.rule == "models/packages"
    ]
    assert {each.message for each in findings} == {
        "the packages of magika are in image set onnx-1, and group torchserve runs set default"
    }
    assert str(findings[0].location) == "apps/torchserve/local/torchserve/serving.yaml:11"


def test_a_model_that_is_served_stays_in_the_default_until_it_has_moved(
    repository: Repository, run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository.root / "apps/torchserve/image/requirements.in"
    before = path.read_text()
    run("sets add onnx-1 magika")
    assert path.read_text() == f"{before}-r ../../../models/magika/requirements.in\n"
    names = [each.name for each in image_sets.of_model(repository.root, "magika")]
    assert names == ["default", "onnx-1"]
    move = "harness groups move magika --to onnx-1 --env staging: torchserve runs set default"
    assert move in capsys.readouterr().err
    run("sets add onnx-1 magika --instead-of default")
    assert path.read_text() == before
    assert [each.name for each in image_sets.of_model(repository.root, "magika")] == ["onnx-1"]


def test_a_set_keeps_its_files_when_a_model_comes_to_it(
    repository: Repository, run: Callable[..., None]
) -> None:
    (repository.models / "mtcnn" / "requirements.in").write_text("lapx\n")
    run("sets add onnx-1 magika")
    path = repository.root / "apps/torchserve/sets/onnx-1/requirements.in"
    path.write_text(f"{path.read_text()}torch<2.15\n")
    run("sets add onnx-1 magika mtcnn")
    assert path.read_text().endswith(
        "-r ../../../../models/magika/requirements.in\n"
        "torch<2.15\n"
        "-r ../../../../models/mtcnn/requirements.in\n"
    )
    assert image_sets.find(repository.root, "onnx-1").models == ("magika", "mtcnn")
    names = [each.name for each in image_sets.of_model(repository.root, "mtcnn")]
    assert names == ["default", "onnx-1"]  # a group of the default serves it
    assert [each.name for each in image_sets.of_model(repository.root, "silero_vad")] == ["default"]


def test_another_python_is_a_base_of_the_containerfile(
    repository: Repository, run: Callable[..., None]
) -> None:
    run("sets add onnx-1 magika --python 3.12")
    run("sets add onnx-2 magika --python 3.12")
    text = (repository.root / "apps/torchserve/image/Containerfile").read_text()
    assert text.count("python:3.12-slim-trixie@sha256:UNSET AS python3.12\n") == 1
    assert text.index("AS python3.12\n") < text.index("FROM ${PYTHON} AS base")
    assert image_sets.find(repository.root, "onnx-1").python == "3.12"


def test_the_builder_is_given_the_sets_lock_and_python(
    repository: Repository, run: Callable[..., None], checkout: Repository
) -> None:
    run("sets add onnx-1 magika --python 3.12")
    path = repository.root / "apps/torchserve/image/Containerfile"
    path.write_text(path.read_text().replace("UNSET", "0" * 64))
    (repository.root / "Makefile").write_text((checkout.root / "Makefile").read_text())
    argv = ["make", "--silent", "image", "BUILDER=echo", "SET=onnx-1"]
    built = subprocess.run(argv, cwd=repository.root, text=True, capture_output=True, timeout=60)
    assert "REQUIREMENTS=apps/torchserve/sets/onnx-1/requirements.txt" in built.stdout
    assert "PYTHON=python3.12" in built.stdout
    assert "--tag torchserve-onnx-1 ." in built.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("Onnx", "magika"), "'Onnx' is not a name for an image set"),
        (("default", "magika"), "'default' is not a name for an image set"),
        (("../x", "magika"), "'../x' is not a name for an image set"),
        (("onnx", "magicka"), "no model 'magicka'; did you mean magika?"),
        (("onnx", "mtcnn"), "mtcnn asks for no package, so every set fits it"),
    ],
)
def test_what_fits_no_set_is_refused_and_nothing_is_written(
    repository: Repository, words: tuple[str, str], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        sets.add(repository, words[0], [words[1]])
    assert says in str(caught.value)
    assert not (repository.root / "apps/torchserve/sets").exists()


@pytest.mark.parametrize("python", ["3.10", "4.0", "python3.12", "3"])
def test_a_python_that_does_not_run_what_is_ours_is_refused(
    repository: Repository, python: str
) -> None:
    with pytest.raises(UsageError, match="is not a supported Python version"):
        sets.add(repository, "onnx-1", ["magika"], python=python)


def test_an_unknown_set_is_named_with_its_neighbor(repository: Repository) -> None:
    sets.apply(repository, sets.add(repository, "onnx-1", ["magika"]))
    with pytest.raises(UsageError, match=r"no image set 'onnx-2'; did you mean onnx-1\?"):
        image_sets.find(repository.root, "onnx-2")


def test_a_set_that_a_group_runs_stays(repository: Repository, run: Callable[..., None]) -> None:
    run("sets add onnx-1 magika")
    run("groups add files magika --set onnx-1 --env local")
    with pytest.raises(UsageError, match="group files of local runs image set onnx-1"):
        sets.remove(repository, "onnx-1")
    run("groups remove files --env local")
    run("sets remove onnx-1")
    assert not (repository.root / "apps/torchserve/sets/onnx-1").exists()
    assert set(image_sets.load(repository.root)) == {"default"}


def test_a_group_like_one_of_a_set_runs_that_set_unless_another_is_named(
    repository: Repository, run: Callable[..., None]
) -> None:
    run("sets add onnx-1 magika")
    run("groups add files magika --set onnx-1 --env local")
    run("groups add more magika --like files --env local")
    run("groups add less magika --like files --set default --env local")
    of_groups = {
        group: image_sets.of_group(repository, "local", group).name
        for group in repository.groups("local")
    }
    assert of_groups == {
        "files": "onnx-1", "more": "onnx-1", "less": "default", "torchserve": "default",
    }  # fmt: skip
    assert (
        "components" not in (repository.group("local", "less") / "kustomization.yaml").read_text()
    )


def test_the_list_says_who_runs_what(
    repository: Repository, run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    _two_sets(repository, run)
    capsys.readouterr()
    run("sets list --json")
    rows = {each["name"]: each for each in json.loads(capsys.readouterr().out)["sets"]}
    assert rows["onnx-1"]["models"] == ["magika"]
    assert rows["onnx-1"]["groups"] == ["local/files", "production/files", "staging/files"]
    assert (rows["default"]["digest"], rows["onnx-1"]["digest"]) == (DIGEST, OTHER)


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("apps/torchserve/image/requirements.txt", ["default"]),
        ("apps/torchserve/sets/onnx-1/requirements.txt", ["onnx-1"]),
        ("apps/torchserve/sets/onnx-1/.python-version", ["onnx-1"]),
        ("apps/torchserve/image/Containerfile", ["default", "onnx-1"]),
        ("harness/launcher/jvm.py", ["default", "onnx-1"]),
        ("harness/trace_export/spans.py", ["default", "onnx-1"]),
        ("models/magika/handler.py", []),
        ("apps/torchserve/sets/onnx-1/helmrelease.yaml", []),
    ],
)
def test_a_push_builds_the_images_whose_contents_it_changes(
    repository: Repository,
    run: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    file: str,
    named: list[str],
) -> None:
    run("sets add onnx-1 magika")
    _lock(repository, "onnx-1")
    _commit(repository.root)
    path = repository.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{path.read_text() if path.exists() else ''}# changed\n")
    _commit(repository.root)
    capsys.readouterr()
    run("sets list --matrix --changed-since HEAD^")
    line = capsys.readouterr().out
    assert line.startswith("sets=[") and line.count("\n") == 1
    assert [each["name"] for each in json.loads(line.removeprefix("sets="))] == named


def test_a_file_that_is_no_text_is_an_error_with_its_name(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository.root / "apps/torchserve/image/requirements.in").write_bytes(b"caf\xe9\n")
    assert cli.main(["sets", "add", "onnx-1", "magika", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"] == "not UTF-8 at byte 3"
    assert answer["at"].endswith("apps/torchserve/image/requirements.in")


def test_of_an_unknown_commit_every_image_is_built(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=repository.root, check=True)
    for commit in ("", "0" * 40):
        assert cli.main(["sets", "list", "--matrix", "--changed-since", commit]) == 0
        assert '"name": "default"' in capsys.readouterr().out
