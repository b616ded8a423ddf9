"""SSH signatures over files, made and checked by ``ssh-keygen -Y``.

Who may sign stands in ``clusters/allowed_signers``, one line a key, in the form that ssh-keygen(1)
describes under ALLOWED SIGNERS:

    loadtest@example.com namespaces="evidence@torchserve" ssh-ed25519 AAAA…

A signature is made for a namespace: a key that may sign reports can be kept from signing releases.
"""

import datetime
import tempfile
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
        key: a private key, or the public one of a key that an agent holds.
        namespace: what it is signed for.

    Raises:
        HarnessError: ssh-keygen is missing, or cannot use the key.
    """
    try:
        return _keygen("sign", "-f", key, "-n", namespace, stdin=text).stdout
    except command.CommandError as error:
        raise HarnessError(
            f"cannot sign with it: {error.message.splitlines()[-1]}",
            at=key,
            hint="give a key of your own: ssh-keygen -t ed25519 -f KEY",
        ) from error


def _keygen(
    action: str, *words: str | Path, stdin: str = "", accept: tuple[int, ...] = (0,)
) -> command.Completed:
    argv: list[str | Path] = ["ssh-keygen", "-Y", action, *words]
    return command.run(argv, timeout=_SECONDS, stdin=stdin, accept=accept)
