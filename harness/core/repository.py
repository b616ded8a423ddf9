"""Where things lie in this repository: the one place that knows the folders by name."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Repository:
    """A clone of this repository. What commands leave behind lies under ``build``, ignored by Git.

    Attributes:
        root: where its files lie.
        laid_out_from: the clone with the history, the tools and the caches, if ``root`` holds the
            files of one of its commits.
    """

    root: Path
    laid_out_from: Path | None = None

    @property
    def history(self) -> Path:
        """The folder whose Git history is read."""
        return self.laid_out_from or self.root

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def lock(self) -> Path:
        """The committed lock: what was pushed, or ``UNSET``."""
        return self.models / "lock.yaml"

    @property
    def jars_lock(self) -> Path:
        """The Java libraries that run before those in TorchServe's JAR."""
        return self.root / "apps/torchserve/image/jars.lock"

    @property
    def build(self) -> Path:
        return self.history / "build"

    @property
    def built_models(self) -> Path:
        """What ``harness models build`` leaves: ``lock.yaml`` and ``model-store/*.mar``."""
        return self.build / "models"

    @property
    def environments(self) -> list[str]:
        """The names of the folders under ``clusters``."""
        return _folders(self.root / "clusters")

    def app(self, env: str) -> Path:
        """The TorchServe overlay of an environment: serving.yaml and the snapshot."""
        return self._environment_folder("apps/torchserve", env)

    def cluster(self, env: str) -> Path:
        """The Flux entry point of an environment, with its loadtest.yaml."""
        return self._environment_folder("clusters", env)

    def _environment_folder(self, parent: str, env: str) -> Path:
        # Compared as a name, not tried as a path: `..` is a folder too.
        if env not in _folders(self.root / parent):
            names = ", ".join(self.environments)
            raise UsageError(f"no environment {env!r}", hint=f"one of: {names}")
        return self.root / parent / env


def _folders(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.glob("*") if path.is_dir())


def find(start: Path | None = None) -> Repository:
    """The repository around ``start`` (by default the working folder).

    Raises:
        UsageError: there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "models").is_dir() and (folder / "clusters").is_dir():
            return Repository(folder)
    raise UsageError(
        f"{start} is not inside a clone of this repository",
        hint="change into the clone, then run the command again",
    )
