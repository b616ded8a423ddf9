"""``clusters/allowed_signers``, read line by line as ssh-keygen does when it verifies a signature.

ssh-keygen(1), ALLOWED SIGNERS: principals, options, type of key, key in base64, comment.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.attestation.signature import EVIDENCE, RELEASE
from harness.core.suggest import did_you_mean

NAMESPACES = (EVIDENCE, RELEASE)
_KEYS = re.compile(
    r"(sk-)?(ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp(256|384|521))(-cert-v01)?(@openssh\.com)?"
)
_OPTIONS = ("cert-authority", "namespaces", "valid-after", "valid-before")
_WORD = re.compile(r'(?:"[^"]*"|[^"\s])+')
_OPTION = re.compile(r'([\w-]+)(?:="([^"]*)")?')
_ANYBODY = re.compile(r"[*?@.]*\*[*?@.]*")


@dataclass(frozen=True, slots=True)
class Signer:
    """One line: who may sign, for what, and by which key."""

    principals: tuple[str, ...]
    options: dict[str, str]
    kind: str
    key: str

    @property
    def namespaces(self) -> tuple[str, ...]:
        """For what it may sign; empty for everything."""
        return tuple(filter(None, self.options.get("namespaces", "").split(",")))


def problems(text: str) -> Iterator[tuple[int, str]]:
    """What is wrong with the lines of a file: the number of each, from 1, and why."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            signer, refused = parse(line)
            if message := refused or "; ".join(_too_much(signer)):
                yield number, message


def parse(line: str) -> tuple[Signer, str]:
    """The signer of a line, and why ssh-keygen would not read it; empty if it would."""
    words = [match[0] for match in _WORD.finditer(line)]
    principals = tuple(words[0].strip('"').split(",")) if words else ()
    options: dict[str, str] = {}
    rest = words[1:]
    if rest and not _KEYS.fullmatch(rest[0]):
        options = {match[1].lower(): match[2] or "" for match in _OPTION.finditer(rest[0])}
        rest = rest[1:]
    signer = Signer(principals, options, *(rest[:2] if len(rest) > 1 else ("", "")))
    unknown = [name for name in options if name not in _OPTIONS]
    if not _KEYS.fullmatch(signer.kind):
        return signer, 'is not a line of allowed_signers: NAME namespaces="…" ssh-ed25519 KEY'
    if unknown:
        return signer, f"unknown option {unknown[0]}{did_you_mean(unknown[0], _OPTIONS)}"
    fits = _kind(signer.key) == signer.kind
    return signer, "" if fits else f"the key is cut off, or not one of {signer.kind}"


def _kind(key: str) -> str:
    """The type that a key in base64 says it has; empty if it is not a whole key.

    A key is strings, each after its length (RFC 4253, section 6.6): the first is its type.
    """
    strings: list[bytes] = []
    try:
        rest = base64.b64decode(key, validate=True)
        while rest:
            (length,) = struct.unpack_from(">I", rest)
            strings.append(rest[4 : 4 + length])
            rest = rest[4 + length :] if len(rest) >= 4 + length else b"cut"
    except (binascii.Error, struct.error):
        return ""
    return strings[0].decode("ascii", "replace") if len(strings) > 1 else ""


def _too_much(signer: Signer) -> Iterator[str]:
    """What a line allows that no line should."""
    for principal in signer.principals:
        if _ANYBODY.fullmatch(principal):
            yield f"{principal} is anybody's name: nobody can tell whose key it is"
    if not signer.namespaces:
        yield "may sign everything: reports, and releases too"
    for namespace in signer.namespaces:
        if _ANYBODY.fullmatch(namespace):
            yield f"the namespace {namespace} is everything: reports, and releases too"
        elif namespace not in NAMESPACES and (near := did_you_mean(namespace, NAMESPACES)):
            yield f"nothing here is signed for {namespace}{near}"
