"""Where things lie in this repository: the one place that knows the folders by name."""

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError

FIRST_GROUP = "torchserve"
"""The group that every environment begins with. Its Deployment's selector holds that name."""


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
        """The TorchServe overlay of an environment: a folder for each of its groups."""
        return self._environment_folder("apps/torchserve", env)

    def groups(self, env: str) -> list[str]:
        """The names of an environment's serving groups: its folders that have a serving.yaml.

        Raises:
            UsageError: there is no such environment.
        """
        app = self.app(env)
        flat = {FIRST_GROUP} if (app / "serving.yaml").is_file() else set()
        return sorted({path.parent.name for path in app.glob("*/serving.yaml")} | flat)

    def group(self, env: str, group: str | None = None) -> Path:
        """The folder of a serving group: serving.yaml, its snapshot and its HelmRelease.

        In commits from before groups that is the environment's own.

        Args:
            env: the environment.
            group: the group; by default the only one, or the first: ``torchserve``.

        Raises:
            UsageError: there is no such environment or group.
        """
        name, app = self.group_name(env, group), self.app(env)
        return app if (app / "serving.yaml").is_file() and name == FIRST_GROUP else app / name

    def group_name(self, env: str, group: str | None = None) -> str:
        """The name of a serving group: the given one, the only one, or the first.

        Raises:
            UsageError: there is no such environment or group.
        """
        groups = self.groups(env)
        name = group or (groups[0] if len(groups) == 1 else FIRST_GROUP)
        if name not in groups:
            raise UsageError(
                f"{env} has no group {name!r}",
                hint=f"one of: {', '.join(groups)}" if groups else "add a serving.yaml to one",
            )
        return name

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
