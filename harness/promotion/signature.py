"""SSH signatures over files, made and checked by ``ssh-keygen -Y``.

Who may sign stands in ``clusters/allowed_signers``, one line a key, in the form that ssh-keygen(1)
describes under ALLOWED SIGNERS:

    loadtest@example.com namespaces="evidence@torchserve" ssh-ed25519 AAAA…

A signature is made for a namespace: a key that may sign reports can be kept from signing releases.
"""

import contextlib
import datetime
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core import command
from harness.core.errors import HarnessError, InputError

EVIDENCE = "evidence@torchserve"
"""The namespace of reports: load tests and smoke tests."""
RELEASE = "release@torchserve"
"""The namespace of what stands beside a moved pointer."""

_SECONDS = 60.0  # an agent may ask a person to touch a key


@dataclass(frozen=True, slots=True)
class Signers:
    """Who may sign: the text of an allowed_signers file."""

    allowed: str

    def verify(self, text: str, signature: str, namespace: str, at: datetime.datetime) -> str:
        """Whose signature it is.

        Args:
            text: what was signed.
            signature: as ``sign`` made it.
            namespace: what it was signed for.
            at: the moment at which the key had to be valid.

        Raises:
            InputError: it is of another text, of another namespace, or of nobody who may sign.
        """
        with tempfile.TemporaryDirectory() as scratch:
            allowed, signed = Path(scratch, "allowed_signers"), Path(scratch, "signature")
            allowed.write_text(self.allowed)
            signed.write_text(signature)
            when = f"-Overify-time={at.astimezone(datetime.UTC):%Y%m%d%H%M%SZ}"
            who = _keygen(
                "find-principals", "-f", allowed, "-s", signed, when, accept=(0, 255)
            ).stdout.splitlines()
            if not who:
                raise InputError(
                    "signed by nobody who may",
                    hint="clusters/allowed_signers names the keys that count",
                )
            words = ("-f", allowed, "-I", who[0], "-n", namespace, "-s", signed, when)
            done = _keygen("verify", *words, stdin=text, accept=(0, 255))
        if done.returncode:
            raise InputError(
                f"the signature of {who[0]} does not fit: {done.stderr.strip().splitlines()[-1]}",
                hint="what is signed is never edited: make it anew",
            )
        return who[0]


def sign(text: str, key: Path, namespace: str) -> str:
    """A signature over a text.

    Args:
        text: what is signed.
        key: a private key, the public one of a key that an agent holds, or a pipe such as
            ``/dev/stdin`` from which a private key can be read.
        namespace: what it is signed for.

    Raises:
        HarnessError: ssh-keygen is missing, or cannot use the key.
    """
    try:
        with _file(key) as (path, pass_fds):
            words = ("-f", path, "-n", namespace)
            return _keygen("sign", *words, stdin=text, pass_fds=pass_fds).stdout
    except (command.CommandError, OSError) as error:
        raise HarnessError(
            f"cannot sign with it: {str(error).splitlines()[-1]}",
            at=key,
            hint="give a key of your own: ssh-keygen -t ed25519 -f KEY",
        ) from error


@contextlib.contextmanager
def _file(key: Path) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """The key as a file that ssh-keygen can read twice, and what has to stay open for it.

    What comes by a pipe is kept in memory: a key that is a workflow's secret never lies on disk.
    """
    if not key.is_fifo():
        yield key, ()
        return
    kept = os.memfd_create("key")
    try:
        os.fchmod(kept, 0o600)  # or ssh-keygen takes it for a key that everybody can read
        os.write(kept, key.read_bytes())
        yield Path(f"/proc/self/fd/{kept}"), (kept,)
    finally:
        os.close(kept)


def _keygen(
    action: str,
    *words: str | Path,
    stdin: str = "",
    accept: tuple[int, ...] = (0,),
    pass_fds: tuple[int, ...] = (),
) -> command.Completed:
    argv: list[str | Path] = ["ssh-keygen", "-Y", action, *words]
    return command.run(argv, timeout=_SECONDS, stdin=stdin, accept=accept, pass_fds=pass_fds)
