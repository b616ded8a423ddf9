"""Gives a store that root has filled by hand the owner and modes that the sync Job would.

    python -m model_sync.own --data FOLDER [--apply]

FOLDER holds model_store and perhaps config. These three folders become uid 1000's, 0755, so that
the sync Job can write; the files in the two become uid 1000's, 0644, so that the servers, who are
uid 1001, can read. Everything else is left alone and named. No content is read or moved. Killed in
the middle, it goes on where it was. It has to run as root.
"""

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import SyncError, end_on_sigterm

LOADER = 1000
"""uid and gid of the sync Job, by the loader's access point."""

_FOLDER, _FILE = 0o755, 0o644
_STORE, _CONFIG = "model_store", "config"


@dataclass(frozen=True)
class Change:
    """What becomes of a path: owner, group and mode before, as ``0:0 0600``."""

    path: str
    before: str
    after: str


@dataclass
class Chown:
    """Changes owners and modes, or only lists what would change and what is left alone."""

    apply: bool
    changed: list[Change] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)

    def apply_to_folder(self, path: Path) -> None:
        """Change a folder and the files in it."""
        with _open(path, os.O_DIRECTORY) as folder:
            self._change(folder, path, _FOLDER)
            for name in sorted(each.name for each in path.iterdir()):
                # Never through a link: what it leads to is not of this store.
                if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    with _open(Path(name), 0, folder) as file:
                        self._change(file, path / name, _FILE)
                else:
                    self.untouched.append(str(path / name))

    def apply_to_parent(self, data: Path) -> None:
        """Change the folder that holds both; its other content is left alone."""
        with _open(data, os.O_DIRECTORY) as folder:
            self._change(folder, data, _FOLDER)
            others = {each for each in data.iterdir() if each.name not in (_STORE, _CONFIG)}
            self.untouched += sorted(map(str, others))

    def _change(self, file: int, path: Path, mode: int) -> None:
        status = os.fstat(file)
        after = _describe(LOADER, LOADER, mode)
        before = _describe(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        if before == after:
            return
        self.changed.append(Change(str(path), before, after))
        if self.apply:
            os.fchown(file, LOADER, LOADER)  # first: it takes setuid bits away
            os.fchmod(file, mode)


def main() -> int:
    """Print ``{"changed": [{path, before, after}], "left": [path], "applied": bool}``."""
    parser = argparse.ArgumentParser(prog="model_sync.own", description=__doc__)
    parser.add_argument("--data", required=True, type=Path, help="folder with model_store in it")
    parser.add_argument("--apply", action="store_true", help="change, do not only name")
    args = parser.parse_args()
    end_on_sigterm()
    chown = Chown(args.apply)
    try:
        _chown_tree(args.data, chown)
    except SyncError as error:
        sys.stdout.write(f"✗ {error}\n")
        return 1
    changed = [asdict(each) for each in chown.changed]
    result = {"changed": changed, "left": chown.untouched, "applied": args.apply}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _chown_tree(data: Path, chown: Chown) -> None:
    if not (data / _STORE).is_dir() or (data / _STORE).is_symlink():
        raise SyncError(f"folder {data / _STORE} not found: this is not the old guide's layout")
    try:
        chown.apply_to_parent(data)
        chown.apply_to_folder(data / _STORE)
        if (data / _CONFIG).is_dir() and not (data / _CONFIG).is_symlink():
            chown.apply_to_folder(data / _CONFIG)
    except OSError as error:
        raise SyncError(f"{error.filename or data}: {error.strerror}") from error


@contextmanager
def _open(path: Path, flags: int, folder: int | None = None) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


def _describe(uid: int, gid: int, mode: int) -> str:
    return f"{uid}:{gid} {mode:04o}"


if __name__ == "__main__":
    sys.exit(main())
