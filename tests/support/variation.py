"""A small change to the real repository, and what `harness check` must say of it."""

import shutil
from pathlib import Path

from pydantic import Field

from harness.burn_rate import rules
from harness.chart.generate import generate
from harness.core import document, files
from harness.core.document import Strict
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.report import Report
from harness.snapshot import config

ROOT = Path(__file__).parents[2]
TESTDATA = ROOT / "tests" / "testdata"
_COPIED = (
    *(".github", "apps", "clusters", "infra", "models", "exceptions.yaml"),
    *(f"tests/monitoring/{name}.yaml" for name in ("alerts", "logging", "slos")),
    *(f"tests/monitoring/{name}_alerts.yaml" for name in ("platform", "promotion")),
)
_SHARED = ("build", "tools")  # the pinned tools and what they answered before: the same for all


class Change(Strict):
    """``old`` stands exactly once in ``file``; without it the file is new."""

    file: str
    old: str = ""
    new: str = ""

    def apply(self, root: Path) -> None:
        path = root / self.file
        if self.old:
            text = path.read_text()
            assert text.count(self.old) == 1, f"{self.file} has not once: {self.old}"
            files.write(path, text.replace(self.old, self.new))
        else:
            assert not path.exists(), f"{self.file} is there already"
            files.write(path, self.new)


class At(Strict):
    """Where the finding points: a line of a file that holds this text."""

    file: str
    line: str


class Variation(Strict):
    """change.yaml of a directory under tests/testdata/invalid or valid.

    Attributes:
        at: the place that is found; none in a valid variation.
        environments: which environments have the fault, where that is not all of them.
        also: other rules that rightly see the same change: it is wrong in several ways.
        causes: how many findings it gives: one for each thing that is wrong, and no other.
        fixed: whether the fix of what it is about is said as data, which the test then does.
        generated: whether `harness generate` and `make snapshot` are run after it, as they should.
    """

    changes: tuple[Change, ...] = Field(min_length=1)
    at: At | None = None
    environments: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    causes: int = 1
    fixed: bool = False
    generated: bool = True

    def check(self, root: Path) -> Report:
        """Make the change in a copy of the repository, and judge it."""
        return engine.check(self.lay_out(root))

    def lay_out(self, root: Path) -> Repository:
        """Make the change in a copy of the repository."""
        repository = copy(root)
        for change in self.changes:
            change.apply(root)
        if self.generated:
            _generate(repository, [change.file for change in self.changes])
        return repository


def load(folder: Path) -> Variation:
    return document.load(folder / "change.yaml", Variation)


def folders(kind: str) -> list[Path]:
    """The directories of ``invalid`` or ``valid`` variations."""
    return [path.parent for path in sorted((TESTDATA / kind).glob("*/change.yaml"))]


def copy(root: Path) -> Repository:
    """What a check reads, laid out under ``root``."""
    for name in _COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            shutil.copy(source, target)
    for name in _SHARED:
        (root / name).symlink_to(ROOT / name)
    return Repository(root)


def _generate(repository: Repository, changed: list[str]) -> None:
    """What `harness generate` and `make snapshot` write, where their sources changed."""
    written: dict[Path, str] = {}
    if any(name.startswith("apps/torchserve/chart/") for name in changed):
        written |= generate(repository.root / "apps/torchserve/chart")
    for name in changed:
        parts = Path(name).parts
        try:
            if name.endswith("/serving.yaml"):
                written |= config.stale(repository, parts[2], None, parts[3])
            elif name.endswith("/loadtest.yaml"):
                written |= config.stale(repository, parts[1]) | rules.stale(repository, parts[1])
        except InputError:  # a fault of the file itself: nothing can be generated
            return
    for path, text in written.items():
        files.write(path, text)
