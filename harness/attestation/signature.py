"""SSH signatures over files, made and checked by ``ssh-keygen -Y``.

Who may sign is listed in ``clusters/allowed_signers``, one line per key, in the format that
ssh-keygen(1) describes under ALLOWED SIGNERS:

    loadtest@example.com namespaces="evidence@torchserve" ssh-ed25519 AAAA…

A signature is made for a namespace: a key that may sign reports can be kept from signing releases.
"""

import base64
import binascii
import contextlib
import datetime
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core import command
from harness.core.errors import HarnessError, InputError

EVIDENCE = "evidence@torchserve"
"""The namespace of reports: load tests and smoke tests."""
RELEASE = "release@torchserve"
"""The namespace of the evidence next to a moved pointer."""
SIGNERS = "clusters/allowed_signers"
"""Where the repository lists the keys that count."""

_SECONDS = 60.0  # an agent may ask a person to touch a key
_PROBE = "Signed to learn whether this key may sign. It vouches for nothing.\n"
_MAGIC = b"SSHSIG"


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
            at: the moment at which the key has to be valid. Never one that the signer wrote:
                a key that has expired would only have to say that it signed before.

        Raises:
            InputError: it is of another text, of another namespace, or not of an allowed signer.
        """
        with tempfile.TemporaryDirectory() as scratch:
            allowed, signed = Path(scratch, "allowed_signers"), Path(scratch, "signature")
            allowed.write_text(self.allowed)
            signed.write_text(signature)
            when = f"-Overify-time={at.astimezone(datetime.UTC):%Y%m%d%H%M%SZ}"
            principals = _keygen(
                "find-principals", "-f", allowed, "-s", signed, when, accept=(0, 255)
            )
            names = principals.stdout.splitlines()
            if not names:
                raise InputError(
                    f"not signed by an allowed signer{_reason(principals.stderr, allowed)}",
                    hint=f"{SIGNERS} lists the keys that count",
                )
            words = ("-f", allowed, "-I", names[0], "-n", namespace, "-s", signed, when)
            check = _keygen("verify", *words, stdin=text, accept=(0, 255))
            if check.returncode:
                raise InputError(
                    f"the signature of {names[0]} does not match{_reason(check.stderr, allowed)}",
                    hint="a signed file is never edited: create it again",
                )
        return names[0]

    def require(self, key: Path, namespace: str, at: datetime.datetime) -> str:
        """Whose key it is, if a signature of it would count; found out by signing a probe.

        Args:
            key: as ``sign`` takes it; for a pipe, what ``reusable`` yields.
            namespace: what it has to sign for.
            at: the moment at which it has to be valid.

        Raises:
            InputError: a signature of it would not verify.
            HarnessError: it cannot sign at all.
        """
        probe = sign(_PROBE, key, namespace)
        try:
            return self.verify(_PROBE, probe, namespace, at)
        except InputError as error:
            raise InputError(
                f"this key may not sign for {namespace}: {error.message}",
                at=key,
                hint=f'its line of {SIGNERS}, on main: NAME namespaces="{namespace}" '
                f"{public_key(probe)}",
            ) from error


def sign(text: str, key: Path, namespace: str) -> str:
    """A signature over a text.

    Args:
        text: what is signed.
        key: a private key, the public half of a key that an agent holds, or a pipe such as
            ``/dev/stdin`` from which a private key can be read.
        namespace: what it is signed for.

    Raises:
        HarnessError: ssh-keygen is missing, or cannot use the key.
    """
    try:
        with reusable(key) as path:
            return _keygen("sign", "-f", path, "-n", namespace, stdin=text).stdout
    except (command.CommandError, OSError) as error:
        raise HarnessError(
            f"cannot sign: {str(error).splitlines()[-1]}",
            at=key,
            hint="give a key of your own: ssh-keygen -t ed25519 -f KEY",
        ) from error


@contextlib.contextmanager
def reusable(key: Path) -> Iterator[Path]:
    """The key under a path that can be read more than once, for as long as the block runs.

    What comes by a pipe stays in memory: a key that is a workflow's secret is never on disk.
    """
    if not key.is_fifo():
        yield key
        return
    memory = os.memfd_create("key")
    try:
        os.fchmod(memory, 0o600)  # or ssh-keygen takes it for a key that everybody can read
        os.write(memory, key.read_bytes())
        yield Path(f"/proc/{os.getpid()}/fd/{memory}")
    finally:
        os.close(memory)


def public_key(signature: str) -> str:
    """The public key that a signature names, as a line of an authorized_keys file.

    Raises:
        InputError: it is not an SSH signature.
    """
    blob = _public_blob(signature)
    kind, _ = _string(blob)
    return f"{kind.decode('ascii', 'replace')} {base64.b64encode(blob).decode()}"


def fingerprint(signature: str) -> str:
    """SHA-256 of the public key that a signature names, in 64 hexadecimal digits.

    Raises:
        InputError: it is not an SSH signature.
    """
    return hashlib.sha256(_public_blob(signature)).hexdigest()


def _public_blob(signature: str) -> bytes:
    """The public key out of the armored signature (OpenSSH, PROTOCOL.sshsig)."""
    armored = "".join(line for line in signature.split("\n") if not line.startswith("-----"))
    try:
        content = base64.b64decode(armored, validate=True)
        if not content.startswith(_MAGIC):
            raise InputError("no SSH signature")
        return _string(content[len(_MAGIC) + 4 :])[0]
    except (binascii.Error, struct.error) as error:
        raise InputError("no SSH signature") from error


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The first string, by its length, and the rest (RFC 4251, section 5)."""
    (length,) = struct.unpack_from(">I", data)
    return data[4 : 4 + length], data[4 + length :]


def _reason(stderr: str, allowed: Path) -> str:
    """The first line of ssh-keygen's error, which is the reason; the file by its name in Git."""
    lines = stderr.replace(str(allowed), SIGNERS).strip().splitlines()
    return f": {lines[0]}" if lines else ""


def _keygen(
    action: str, *words: str | Path, stdin: str = "", accept: tuple[int, ...] = (0,)
) -> command.Completed:
    argv: list[str | Path] = ["ssh-keygen", "-Y", action, *words]
    return command.run(argv, timeout=_SECONDS, stdin=stdin, accept=accept)
