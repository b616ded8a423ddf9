"""Fetches what a lock names from Maven Central, or from the mirror that ``MAVEN_MIRROR`` names.

jgo knows Maven Central's address and layout, and requests honors HTTPS_PROXY, NO_PROXY, ~/.netrc
and REQUESTS_CA_BUNDLE. Nothing is used before its hash was compared.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import JarsError, Unreachable, lock
from .lock import Jar

_TIMEOUT = 30  # seconds without a byte until a connection counts as dead
_CONNECTIONS = 4  # files: as many connections as Maven itself opens to a host, nearly (5)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


def fetch(path: Path, folder: Path) -> bool:
    """Make ``folder`` hold the files of the lock at ``path`` and no other JAR; all of them or none.

    Files that already exist, with the right hash, are not fetched again.

    Returns:
        Whether anything changed.

    Raises:
        JarsError: a line of the lock is bad or has no hash, or a file is not the one it names.
        Unreachable: a file could not be fetched; the folder is what it was.
    """
    jars = lock.read(path)
    for jar in jars:
        if not jar.sha256:
            raise JarsError(f"{jar.at}: {jar.coordinates} has no hash; `make jars` writes it")
    with _exclusive(folder):
        if holds(folder, jars):
            return False
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            complete = Path(scratch, "complete")
            complete.mkdir()
            missing = [jar for jar in jars if not _matches(folder / jar.file, jar)]
            for jar, file in zip(missing, _download(missing, Path(scratch)), strict=True):
                if (digest := _sha256(file)) != jar.sha256:
                    raise JarsError(
                        f"{jar.at}: {jar.coordinates} is not the file that was locked: its SHA-256 "
                        f"is {digest}. Whoever serves it has changed it; do not renew the hash"
                    )
                file.rename(complete / jar.file)
            for jar in set(jars) - set(missing):
                shutil.copyfile(folder / jar.file, complete / jar.file)
            if folder.exists():
                folder.rename(Path(scratch, "replaced"))
            complete.rename(folder)
    return True


def renew(path: Path) -> int:
    """Write the hash of each line of the lock that has none; return how many there were.

    Raises:
        JarsError: a line is bad.
        Unreachable: a file could not be fetched; the lock is what it was.
    """
    unhashed = [jar for jar in lock.read(path) if not jar.sha256]
    with tempfile.TemporaryDirectory() as scratch:
        files = _download(unhashed, Path(scratch))
        digests = {jar: _sha256(file) for jar, file in zip(unhashed, files, strict=True)}
    if digests:
        text = lock.with_digests(path, digests)
        renewed = path.with_name(f".{path.name}.new")
        renewed.write_text(text)
        renewed.replace(path)
    return len(digests)


def holds(folder: Path, jars: Sequence[Jar]) -> bool:
    """Whether the folder has every file of ``jars``, byte for byte, and no other JAR."""
    names = {file.name for file in folder.glob("*.jar")}
    return names == {jar.file for jar in jars} and all(
        _matches(folder / jar.file, jar) for jar in jars
    )


def _download(jars: Sequence[Jar], scratch: Path) -> list[Path]:
    """The files of ``jars``, in their order, somewhere below ``scratch``."""
    from jgo.maven import MavenContext
    from requests import RequestException

    mirror = _mirror()
    context = MavenContext(
        repo_cache=scratch / "repository",
        local_repos=[],  # ~/.m2 has what some other program has left there
        remote_repos={"mirror": mirror} if mirror else None,
        timeout=_TIMEOUT,
    )

    def download(jar: Jar) -> Path:
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            return Path(component.artifact(jar.classifier).resolve())
        except (RequestException, RuntimeError) as error:  # jgo's own is a RuntimeError
            reason = _CREDENTIALS.sub("", str(error))
            raise Unreachable(
                f"{jar.coordinates} could not be fetched: {reason}\n"
                "MAVEN_MIRROR names another Maven repository, HTTPS_PROXY a proxy, "
                "REQUESTS_CA_BUNDLE its certificates"
            ) from error

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(download, jars))


def _mirror() -> str:
    mirror = os.environ.get("MAVEN_MIRROR", "").rstrip("/")
    if mirror and not mirror.startswith(("https://", "http://")):
        raise JarsError("MAVEN_MIRROR is not the https:// address of a Maven repository")
    return mirror


def _matches(file: Path, jar: Jar) -> bool:
    return file.is_file() and _sha256(file) == jar.sha256


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Two commands that both miss the libraries fetch them once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        yield
