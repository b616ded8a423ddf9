"""A miniature repository to change, with this checkout's tools."""

import shutil
import subprocess
from pathlib import Path

from harness.core.repository import Repository
from harness.render.rendered import Environment
from harness.render.renderer import Renderer

MINIATURE = Path(__file__).parents[1] / "testdata" / "miniature"


class Miniature:
    """A copy of tests/testdata/miniature."""

    def __init__(self, root: Path, checkout: Repository) -> None:
        self.repository = Repository(root)
        self.root = root
        shutil.copytree(MINIATURE, root)
        (root / "tools").symlink_to(checkout.root / "tools")
        (root / "build").mkdir()
        (checkout.build / "tools").mkdir(parents=True, exist_ok=True)
        (root / "build" / "tools").symlink_to(checkout.build / "tools")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that the file must have."""
        file = self.root / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def render(self) -> Environment:
        return Renderer(self.repository).candidate("demo")

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        argv = ["git", "-C", str(self.root), *identity, *words]
        return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip()

    def commit(self, message: str = "change") -> str:
        """Commit everything, in a repository that is made for the first one."""
        if not (self.root / ".git").exists():
            self.write(".gitignore", "build\ntools\n")
            self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")
