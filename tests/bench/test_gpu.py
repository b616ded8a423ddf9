"""The benchmark for a GPU, every line of it, on a CPU: it claims nothing, and has to pass."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.gpu import pack, report, steps


@pytest.mark.torchserve
def test_every_step_passes_with_a_stand_in_and_no_figure_is_claimed(tmp_path: Path) -> None:
    results = steps.run_all(stand_in=True, seconds=1)
    assert [(each.step, each.notes) for each in results if not each.passed] == []
    assert [each for each in results if each.figures] == []
    report.write(tmp_path, results)
    assert len(json.loads((tmp_path / "report.json").read_text())) == len(results) == 8
    assert "stand-in" in (tmp_path / "report.md").read_text()


def test_the_archive_of_several_blocks_is_one_tar_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "_BLOCK", 4_000)
    bundle = tmp_path / "bundle"
    (bundle / "folder").mkdir(parents=True)
    (bundle / "folder" / "file").write_bytes(bytes(range(256)) * 100)
    archive = pack._archive(bundle, tmp_path / "bundle.tar.xz")
    with tarfile.open(archive) as content:
        content.extractall(tmp_path / "there", filter="data")
    unpacked = tmp_path / "there" / "bundle" / "folder" / "file"
    assert unpacked.read_bytes() == bytes(range(256)) * 100


def test_the_jars_of_the_bundle_lack_what_other_systems_run(tmp_path: Path) -> None:
    jar, smaller = tmp_path / "a.jar", tmp_path / "b.jar"
    names = [f"META-INF/native/lib_{each}" for each in ("osx_x86_64.jnilib", "linux_x86_64.so")]
    with zipfile.ZipFile(jar, "w") as content:
        for name in ("a/A.class", *names):
            content.writestr(name, "content")
    pack._repack(jar, smaller, lambda name: not pack._OTHER_SYSTEMS.match(name))
    assert zipfile.ZipFile(smaller).namelist() == ["a/A.class", names[1]]
