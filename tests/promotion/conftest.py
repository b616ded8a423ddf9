"""A clone whose production takes releases from staging, with nothing UNSET."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.attestation.signature import EVIDENCE, RELEASE
from harness.core import files
from harness.core.git import Git
from harness.core.repository import Repository
from harness.local_cluster import placeholder_commit
from tests.support import aws_fixtures

front, shim = aws_fixtures.front, aws_fixtures.shim

POINTER = "clusters/production/release.yaml"
_SIGNS = f'namespaces="{EVIDENCE},{RELEASE}"'
_COPIED = ("apps", "clusters", "infra", "models", "exceptions.yaml")
_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}


@dataclass(frozen=True)
class Clone:
    """A working clone and the bare repository that is its origin."""

    repository: Repository
    origin: Git

    @property
    def root(self) -> Path:
        return self.repository.root

    @property
    def git(self) -> Git:
        return Git(self.root)

    def head(self) -> str:
        return self.git.run("rev-parse", "HEAD")

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.root / path).write_text(text.replace(old, new))

    def commit(self, message: str = "A change", *, push: bool = True) -> str:
        """Commit everything to main; return the commit."""
        self.git.run("add", "--all")
        self.git.run("commit", "--quiet", "--message", message)
        if push:
            self.git.run("push", "--quiet", "origin", "main")
        return self.head()

    def change(self, value: int) -> str:
        """A setting of both environments is changed on main."""
        for env in ("staging", "production"):
            path = self.root / f"apps/torchserve/{env}/torchserve/config.properties"
            lines = path.read_text().splitlines(keepends=True)
            changed = [
                f"job_queue_size={value}\n" if line.startswith("job_queue_size=") else line
                for line in lines
            ]
            path.write_text("".join(changed))
        return self.commit(f"Queue {value}")

    def pin(self, commit: str) -> None:
        """Point production at a commit, by a commit on main."""
        text = (self.root / POINTER).read_text()
        head, _, rest = text.partition("    commit: ")
        (self.root / POINTER).write_text(
            f"{head}    commit: {commit}\n{rest.partition(chr(10))[2]}"
        )
        self.commit(f"Pin {commit[:12]}")

    def merge(self, branch: str) -> str:
        """What the merge button does."""
        self.git.run("merge", "--quiet", "--no-ff", "--no-edit", branch)
        self.git.run("push", "--quiet", "origin", "main")
        return self.head()


@pytest.fixture(scope="session")
def _template(checkout: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's own files in their first commit, every UNSET filled."""
    root = tmp_path_factory.mktemp("template") / "clone"
    for name in _COPIED:
        source, target = checkout.root / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    repository = Repository(root)
    for env in ("staging", "production"):
        for path, text in placeholder_commit.changes(
            repository, env, "https://git.example.com/it"
        ).items():
            # Production pins nothing yet.
            files.write(root / path, re.sub(r"commit: [0-9a-f]{40}", "commit: UNSET", text))
    (root / ".gitignore").write_text("/build\n/tools\n")
    environment = {**os.environ, **_WHO}
    for words in (("init", "--initial-branch=main"), ("add", "--all"), ("commit", "-m", "First")):
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, env=environment)
    return root


@pytest.fixture
def clone(
    _template: Path, checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Clone]:
    """A clone of it, and its origin; what is rendered is remembered in the checkout's build/."""
    for name, value in _WHO.items():
        monkeypatch.setenv(name, value)
    origin, root = tmp_path / "origin.git", tmp_path / "clone"
    for words in (
        ("clone", "--quiet", "--bare", str(_template), str(origin)),
        ("clone", "--quiet", str(origin), str(root)),
    ):
        subprocess.run(["git", *words], check=True, capture_output=True)
    cache = checkout.build / "check" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (root / "build" / "check").mkdir(parents=True)
    (root / "build" / "check" / "cache").symlink_to(cache)
    (root / "build" / "tools").symlink_to(checkout.build / "tools")
    (root / "tools").symlink_to(checkout.root / "tools")
    clone = Clone(Repository(root), Git(origin))
    clone.pin(clone.head())
    yield clone


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """An SSH key."""
    return new_key(tmp_path / "key")


def new_key(path: Path) -> Path:
    """Make an SSH key there."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


def allow(clone: Clone, key: Path, options: str = _SIGNS) -> None:
    """Let a key sign, on main."""
    list_signer(clone, key, options)
    clone.commit("Allow a signer")


def list_signer(clone: Clone, key: Path, options: str = _SIGNS) -> None:
    """Let a key sign, in the working tree."""
    line = f"ada@example.com {options} {key.with_suffix('.pub').read_text()}"
    (clone.root / "clusters" / "allowed_signers").write_text(line)
