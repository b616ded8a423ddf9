"""Whether the archives that were built are what the locks say."""

from harness.core import files
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.adopted import DEFAULT_VERSION
from harness.models.archive import read_manifest
from harness.models.build import store
from harness.models.lock import Lock, load_lock


def problems(repository: Repository) -> list[str]:
    """One line for each archive that is missing, damaged, misnamed or not the committed one.

    Raises:
        InputError: nothing was built, or a lock cannot be read.
    """
    built = load_lock(repository.built_models / "lock.yaml")
    committed = load_lock(repository.lock) if repository.lock.is_file() else Lock()
    lines = []
    for name, locked in built.archives():
        path = store(repository) / locked.mar
        try:
            manifest = read_manifest(path)
        except InputError as error:
            lines.append(str(error))
            continue
        if (version := manifest.model_version or DEFAULT_VERSION) != locked.version:
            lines.append(f"{path}: it is version {version}, {name} is locked as {locked.version}")
        if (sha256 := files.sha256(path)) != locked.sha256:
            lines.append(f"{path}: sha256 {sha256}, not {locked.sha256} as built")
        alone = locked.model_copy(update={"others": ()})
        other = committed.archive(name, locked.version)
        if other and not other.unset and other != alone:
            lines.append(f"{repository.lock}: {name} is {other.mar}, but {locked.mar} was built")
    return lines
