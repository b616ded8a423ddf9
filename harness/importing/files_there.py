"""Paths of another machine, or of a container, and what lies there: files of this machine, or text.

files = Files(Path("."), workdir=PurePosixPath("/app"))
files.copy(Path("conf"), "/app/conf")                               # COPY conf /app/conf
files.write([(Write("conf/x.cfg", 0, "a=1", append=True), at)])     # RUN echo a=1 >> conf/x.cfg
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from harness.core.errors import Location
from harness.importing import archives, docker_run, properties_file
from harness.importing.shell import Write
from harness.importing.source import Remark, Source

_LONGEST = 255  # characters: no file system has longer names, and some refuse to look
_CONFIGURATIONS = (".properties", ".cfg", ".conf", ".config")
_IMAGES_OWN = "number_of_netty_threads=32\njob_queue_size=1000\n"
"""What of pytorch/torchserve's config.properties is more than addresses and folders."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the text of a file, and where it comes from."""

    text: str
    at: Location


@dataclass
class Files:
    """What lies where there: copied into an image, mounted, or written by commands.

    Attributes:
        folder: what ``targets`` does not know may lie here, under its own name.
        targets: files and folders of this machine.
        workdir: the folder that names are relative to.
        texts: files that are known by their text.
        remarks: files of settings whose text only running a command tells.
    """

    folder: Path
    targets: dict[PurePosixPath, Path] = field(default_factory=dict)
    workdir: PurePosixPath = field(default_factory=PurePosixPath)
    texts: dict[PurePosixPath, tuple[Piece, ...]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def place(self, name: str) -> PurePosixPath:
        """The whole path that a name has there."""
        return PurePosixPath(self.workdir, name)

    def copy(self, source: Path, target: str) -> None:
        """Lay a file or folder of this machine there."""
        whole = self.place(target)
        self.targets[whole] = source
        for path in list(self.texts):
            if path == whole or (
                whole in path.parents and (source / path.relative_to(whole)).exists()
            ):
                del self.texts[path]

    def write(self, writes: Iterable[tuple[Write, Location]]) -> None:
        """Change files as commands do, each with its place."""
        for each, line in writes:
            if each.text is None and not each.source:
                if each.target.endswith(_CONFIGURATIONS):
                    why = "writes a configuration: give the file itself as another source"
                    what = f"{each.command} … {each.target}"
                    self.remarks.append(Remark(what, why, line, lost=True))
                continue
            target = self.place(each.target)
            if each.source and (each.target.endswith("/") or self._is_folder(target)):
                target /= PurePosixPath(each.source).name
            if each.source and (matches := self.find(each.source)) and matches.is_dir():
                self.copy(matches, str(target))
                continue
            pieces = self.pieces(each.source) if each.source else (Piece(each.text or "", line),)
            if pieces:
                self.texts[target] = (*(self.pieces(each.target) if each.append else ()), *pieces)

    def _is_folder(self, path: PurePosixPath) -> bool:
        known = self.targets.get(path)
        inside = (*self.texts, *self.targets, self.workdir / "any")
        return bool(known and known.is_dir()) or any(path in each.parents for each in inside)

    def pieces(self, name: str) -> tuple[Piece, ...]:
        """The text of a file, as far as it is known."""
        if known := self.texts.get(self.place(name)):
            return known
        path = self.find(name)
        if path and path.is_file():
            return (Piece(path.read_bytes().decode("latin-1"), Location(path, 1)),)
        return ()

    def find(self, name: str) -> Path | None:
        """The file or folder here that ``name`` is there, or that lies here under its name."""
        if len(name) > _LONGEST:
            return None
        for path in (self.place(name), PurePosixPath(name)):
            for target in (path, *path.parents):
                if source := self.targets.get(target):
                    inner = source / path.relative_to(target) if target != path else source
                    if inner.exists():
                        return inner
        path = PurePosixPath(name)
        for target, source in self.targets.items():
            if target.name == path.name and not path.is_absolute():
                return source
        place = self.folder / name  # an absolute name stays as it is
        if docker_run.exists(place):
            return place
        near = self.folder / path.name
        return near if docker_run.exists(near) and near.is_file() else None


def in_image(image: str, folder: Path, mounts: Mapping[PurePosixPath, Path]) -> Files:
    """What lies in a container of an image: its own file, if it is upstream's, and mounts."""
    files = Files(folder)
    if docker_run.is_upstream(image):
        files.workdir = PurePosixPath("/home/model-server")
        settings = Piece(_IMAGES_OWN, Location(Path("the image's own config.properties")))
        files.texts[files.workdir / "config.properties"] = (settings,)
    for target, source in mounts.items():
        files.copy(source, str(target))
    return files


def with_files(source: Source, files: Files) -> Source:
    """The source, with the config.properties that its command names and its folder of archives."""
    files.write(source.writes)
    names = [each.value for each in source.variables if each.key == "TS_CONFIG_FILE"]
    names += [command.config for command in source.commands if command.config]
    matches = [path for path in (*files.texts, *files.targets) if path.name == "config.properties"]
    if not names and (files.place("config.properties") in matches or not source.commands):
        names += ["config.properties"] if source.commands else [str(path) for path in matches]
    for name in names:
        if not source.properties:
            source = _with_properties(source, files, name)
    return _with_store(replace(source, remarks=(*source.remarks, *files.remarks), writes=()), files)


def _with_properties(source: Source, files: Files, name: str) -> Source:
    """The source, with the config.properties of a name, if it is known."""
    named = files.find(name)
    if pieces := files.texts.get(files.place(name)):
        parts = [properties_file.parse(p.text, p.at.path, p.at.line or 1) for p in pieces]
        text = Source(
            properties=tuple(each for part in parts for each in part.properties),
            remarks=tuple(each for part in parts for each in part.remarks),
            problems=tuple(each for part in parts for each in part.problems),
        )
        named = None
    elif named and named.is_file():
        text = properties_file.read(named)
    else:
        return source
    return replace(
        source,
        file=named,
        assumed=bool(pieces),
        properties=text.properties,
        remarks=(*source.remarks, *text.remarks),
        problems=(*source.problems, *text.problems),
    )


def _with_store(source: Source, files: Files) -> Source:
    """The source, with its model store, if archives lie in it."""
    stores = [command.model_store for command in source.commands]
    stores += [each.value for each in source.properties if each.key == "model_store"]
    for store in filter(None, reversed(stores)):
        folder = files.find(store)
        if folder and archives.is_store(folder):
            return replace(source, folder=folder)
        copied = {
            path.parent
            for target, path in files.targets.items()
            if files.place(store) in target.parents and path.is_file()
        }
        if len(copied) == 1:
            return replace(source, folder=copied.pop())
    return source
