import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models import build
from harness.models.archive import read_manifest
from harness.models.lock import load_lock
from harness.models.samples import load_samples
from tests.models.conftest import plant


def mar(repository: Repository) -> Path:
    (path,) = build.store(repository).glob("*.mar")
    return path


def test_a_build_leaves_the_archive_the_lock_and_the_samples(tiny):
    lock = build.build(tiny)
    locked = lock.models["tiny"]
    assert load_lock(tiny.built_models / "lock.yaml") == lock
    assert mar(tiny).name == locked.mar == f"tiny-1-{locked.sha256[:12]}.mar"
    assert mar(tiny).stat().st_size == locked.size
    (sample,) = load_samples(tiny, lock)["tiny"]
    assert (sample.version, sample.body, sample.expected.answer) == ("1", b"hello", {"length": 5})
    assert sample.content_type == "text/plain"


def test_an_archive_holds_what_model_yaml_names(tiny, edit):
    edit(
        "handler: handler.py",
        "handler: handler.py\n"
        "extraFiles: {deep/down.txt: hello.txt, LICENCE: numpy:numpy/version.py}\n"
        "config: {deviceType: cpu, sequenceMaxIdleMSec: 5, handler: {best: 5}}",
    )
    build.make(tiny, build.load_catalog(tiny.models).models["tiny"])
    manifest = read_manifest(mar(tiny))
    assert (manifest.model_name, manifest.model_version) == ("tiny", "1")
    assert (manifest.handler, manifest.serialized_file) == ("handler.py", "tiny.pt")
    with zipfile.ZipFile(mar(tiny)) as archive:
        assert archive.read("deep/down.txt") == b"hello"
        assert {"tiny.pt", "handler.py", "LICENCE"} < set(archive.namelist())
        assert any(name.startswith("licences/numpy/") for name in archive.namelist())
        config = archive.read(manifest.config_file or "").decode()
    assert config == "deviceType: cpu\nhandler:\n  best: 5\nsequenceMaxIdleMSec: 5\n"


def test_two_builds_in_different_folders_are_byte_identical(tmp_path):
    one, other = plant(tmp_path / "one"), plant(tmp_path / "other" / "deeper")
    assert build.build(one) == build.build(other)
    assert mar(one).read_bytes() == mar(other).read_bytes()


def test_the_real_models_are_byte_identical_when_built_elsewhere(checkout, built, tmp_path):
    shutil.copytree(checkout.models, tmp_path / "models")
    assert build.build(Repository(tmp_path)) == built


def test_nothing_is_built_again_while_nothing_changed(tiny, capsys):
    first = build.build(tiny)
    before = mar(tiny).stat()
    capsys.readouterr()
    assert build.build(tiny) == first
    assert (mar(tiny).stat().st_mtime_ns, mar(tiny).stat().st_ino) == (
        before.st_mtime_ns,
        before.st_ino,
    )
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["handler.py", "tiny.pt"])
def test_a_changed_input_makes_another_archive_and_removes_the_old(tiny, name):
    old = build.build(tiny).models["tiny"]
    with (tiny.models / "tiny" / name).open("a") as file:
        file.write("\n# changed\n")
    new = build.build(tiny).models["tiny"]
    assert new.mar != old.mar
    assert mar(tiny).name == new.mar


def test_a_changed_sample_changes_the_answer_and_not_the_archive(tiny, edit):
    old = build.build(tiny)
    (tiny.models / "tiny" / "hello.txt").write_text("hello there")
    edit("{length: 5}", "{length: 11}")
    assert build.build(tiny) == old
    assert load_samples(tiny, old)["tiny"][0].expected.answer == {"length": 11}


def test_a_sample_that_is_gone_is_not_sent_any_more(tiny, edit):
    build.build(tiny)
    edit("name: hello", "name: greeting")
    (sample,) = load_samples(tiny, build.build(tiny))["tiny"]
    assert sample.name == "greeting"


def test_a_damaged_archive_is_said_and_built_again(tiny, capsys):
    lock = build.build(tiny)
    whole = mar(tiny).read_bytes()
    mar(tiny).write_bytes(whole[:-1])
    assert build.build(tiny) == lock
    assert mar(tiny).read_bytes() == whole
    assert f"! {mar(tiny).name} is not what was built" in capsys.readouterr().err


def test_an_answer_that_nobody_expects_stops_the_build(tiny, edit):
    path = edit("{length: 5}", "{length: 6}")
    with pytest.raises(InputError) as caught:
        build.build(tiny)
    assert f"{path}:13: the model does not answer hello as expected: length: 5, not 6" in str(
        caught.value
    )
    assert not (tiny.built_models / "lock.yaml").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("handler: handler.py", "handler: handlr.py", "model.yaml:10: no file handlr.py"),
        (
            "handler: handler.py",
            "handler: image_clasifier",
            r"model.yaml:10: .* did you mean image_classifier\?",
        ),
        ("file: tiny.pt", "file: ../../../tiny.pt", "model.yaml:9: no file ../../../tiny.pt"),
        ("file: tiny.pt", "file: numpy:numpy/none.pt", "model.yaml:9: no file numpy:numpy/none.pt"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_line(tiny, edit, old, new, says):
    edit(old, new)
    with pytest.raises(InputError, match=says):
        build.build(tiny)


def test_a_package_that_is_not_installed_is_named(tiny, edit):
    edit("file: tiny.pt", "file: no-such-package:tiny.pt")
    with pytest.raises(
        HarnessError, match="no-such-package is not installed\n  → run `make setup`"
    ):
        build.build(tiny)


def test_a_handler_that_the_archiver_refuses_is_an_error_of_one_line_and_its_output(tiny, edit):
    edit("handler: handler.py", "handler: no_such_handler")
    with pytest.raises(HarnessError, match="no_such_handler"):
        build.build(tiny)


def test_an_unwritable_build_folder_is_an_error(tiny):
    tiny.build.write_text("a file where the folder should be")
    with pytest.raises(
        HarnessError, match=r"build/models: cannot write: Not a directory\n  → make"
    ):
        build.build(tiny)


def test_a_full_disk_leaves_no_half_archive(tiny):
    (tiny.models / "tiny" / "tiny.pt").write_bytes(b"w" * 30_000_000)
    (tiny.root / "clusters").mkdir()
    full = subprocess.run(
        [sys.executable, "-m", "harness", "models", "build"],
        cwd=tiny.root,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000)),
    )
    assert (full.returncode, full.stdout) == (3, "")
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list(tiny.build.rglob("*.mar"))


def test_what_a_killed_build_left_is_removed(tiny):
    (tiny.built_models / ".staging-killed" / "root").mkdir(parents=True)
    build.build(tiny)
    assert not list(tiny.built_models.glob(".staging-*"))


def adopt(tiny: Repository, text: str) -> Path:
    """Make tiny an archive that somebody else built, under a name of theirs."""
    build.build(tiny)
    folder = tiny.models / "tiny"
    theirs = Path(shutil.copyfile(mar(tiny), folder / "theirs.mar"))
    (folder / "model.yaml").write_text(
        f"name: tiny\nversion: '{text}'\ndescription: adopted\n"
        "artifact:\n  adopted:\n    mar: theirs.mar\n"
    )
    return theirs


def test_an_adopted_archive_keeps_its_bytes_and_its_name(tiny):
    theirs = adopt(tiny, "1")
    locked = build.build(tiny).models["tiny"]
    assert locked.mar == "theirs.mar"
    assert mar(tiny).read_bytes() == theirs.read_bytes()
    assert load_samples(tiny, load_lock(tiny.built_models / "lock.yaml")) == {"tiny": ()}


def test_an_adopted_archive_of_another_version_is_refused(tiny):
    adopt(tiny, "2")
    with pytest.raises(InputError, match=r"theirs.mar: it is version 1, model.yaml expects 2"):
        build.build(tiny)


def test_an_adopted_archive_that_only_its_old_store_has_is_left_out_and_said(tiny, capsys):
    adopt(tiny, "1").unlink()
    assert build.build(tiny).models == {}
    assert "! tiny 1: its archive is not in models/tiny: left alone" in capsys.readouterr().err


def test_samples_of_a_version_that_was_not_built_are_refused(tiny, edit):
    build.build(tiny)
    lock = build.build(tiny)
    other = lock.models["tiny"].model_copy(update={"version": "2"})
    with pytest.raises(HarnessError, match=r"no reference answers for tiny 2 \(built here: 1\)"):
        load_samples(tiny, lock.model_copy(update={"models": {"tiny": other}}))
