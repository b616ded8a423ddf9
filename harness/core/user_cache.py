"""What takes minutes to make and is the same for every checkout, kept in the user's cache folder.

    if not user_cache.restore(name, target):
        make(target)
        user_cache.keep(target, name)

A name carries all that its content depends on, so an entry never goes stale; one that nobody has
used for 90 days is removed. The folder is ``$XDG_CACHE_HOME`` or ``~/.cache`` (XDG Base Directory
Specification). A home folder that cannot be written keeps nothing, and that is not an error.
"""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

_UNUSED_SECONDS = 90 * 24 * 3600


def folder() -> Path:
    """The folder that holds the entries."""
    return home() / "torchserve-kubernetes"


def home() -> Path:
    """The folder in which each program of this user has its cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def restore(name: str, target: Path) -> bool:
    """Replace ``target`` by a copy of the entry, a file or a folder, if there is one.

    Returns:
        Whether there is such an entry.
    """
    entry = folder() / name
    if not entry.exists():
        return False
    _remove(target)
    _copy(entry, target)
    with contextlib.suppress(OSError):
        os.utime(entry)
    return True


def keep(source: Path, name: str) -> None:
    """Copy ``source`` to the entry, all or nothing, and remove what was not used for 90 days."""
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            _copy(source, Path(scratch, name))
            Path(scratch, name).rename(folder() / name)
        _remove_unused()


def _remove_unused() -> None:
    for entry in folder().iterdir():
        if time.time() - entry.stat().st_mtime > _UNUSED_SECONDS:
            _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy by hard links where the file system has them: the programs are 900 MB."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(source, target)
    os.utime(target)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
