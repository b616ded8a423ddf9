"""jars.lock: every line is read or named, and a hash is never made up."""

from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.jars import JarsError, lock

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("io.netty:netty-common", "not group:artifact:version"),
        ("io.netty:netty-common:4.1.0 sha256:abc", "not group:artifact:version"),
        (f"io.netty:netty-common:4.1.0  sha256:{HASH}", "not group:artifact:version"),
        (f"io.netty:netty-common:../../x sha256:{HASH}", "not group:artifact:version"),
        (f"io.netty:netty-common:4.1.0:a:b sha256:{HASH}", "not group:artifact:version"),
        ("io.netty:netty-buffer:4.1.1", "netty-buffer is pinned in {path}:2 already"),
        # Its file would have the other's name.
        ("com.example:netty-buffer:4.1.0", "netty-buffer is pinned in {path}:2 already"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "jars.lock"
    path.write_text(f"# Netty\nio.netty:netty-buffer:4.1.0 sha256:{HASH}\n\n{line}\n")
    with pytest.raises(JarsError) as caught:
        lock.read(path)
    assert str(caught.value).startswith(f"{path}:4: {problem.format(path=path)}")


def test_a_lock_of_comments_alone_is_none(tmp_path: Path) -> None:
    path = tmp_path / "jars.lock"
    path.write_text("# nothing\n\n")
    with pytest.raises(JarsError, match="pins nothing"):
        lock.read(path)


def test_the_committed_lock_pins_every_file(checkout: Repository) -> None:
    jars = lock.read(checkout.jars_lock)
    assert all(jar.sha256 for jar in jars)
    assert len({jar.sha256 for jar in jars}) == len(jars)


@pytest.mark.parametrize("group", ["io.netty", "io.grpc", "org.apache.logging.log4j"])
def test_a_project_of_many_files_is_one_version(checkout: Repository, group: str) -> None:
    versions = {jar.version for jar in lock.read(checkout.jars_lock) if jar.group == group}
    assert len(versions) == 1
