"""Paths of another machine, or of a container, and the files here that lie there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from harness.importing import properties_file
from harness.importing.source import Source

_LONGEST = 255  # characters: no file system has longer names, and some refuse to look


@dataclass(frozen=True, slots=True)
class Files:
    """What of ``folder`` lies where there: copied into an image, or mounted."""

    folder: Path
    targets: Mapping[PurePosixPath, Path]

    def find(self, name: str) -> Path | None:
        """The file or folder here that ``name`` is there, or that lies here under its name."""
        if len(name) > _LONGEST:
            return None
        path = PurePosixPath(name)
        for target in (path, *path.parents):
            if source := self.targets.get(target):
                inner = source / path.relative_to(target) if target != path else source
                if inner.exists():
                    return inner
        for target, source in self.targets.items():
            if target.name == path.name and not path.is_absolute():
                return source
        place = self.folder / name  # an absolute name stays as it is
        if place.exists():
            return place
        near = self.folder / path.name
        return near if near.is_file() else None


def with_files(source: Source, files: Files) -> Source:
    """The source, with the config.properties that its command names and its folder of archives."""
    names = [each.value for each in source.variables if each.key == "TS_CONFIG_FILE"]
    names += [command.config for command in source.commands if command.config]
    for name in names:
        named = files.find(name)
        if named and named.is_file() and not source.properties:
            text = properties_file.read(named)
            source = replace(
                source,
                file=named,
                properties=text.properties,
                remarks=(*source.remarks, *text.remarks),
                problems=(*source.problems, *text.problems),
            )
    stores = [command.model_store for command in source.commands]
    stores += [each.value for each in source.properties if each.key == "model_store"]
    for store in filter(None, reversed(stores)):
        folder = files.find(store)
        if folder and folder.is_dir():
            return replace(source, folder=folder)
        archives = {
            path.parent
            for target, path in files.targets.items()
            if PurePosixPath(store) in target.parents and path.is_file()
        }
        if len(archives) == 1:
            return replace(source, folder=archives.pop())
    return source
