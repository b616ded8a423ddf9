"""Images in their registries, always by digest: existence, signatures, copies.

oras finds and copies, signatures with the image; cosign verifies. Both log in as `docker login`
left it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.core import command
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository

_DIGEST = re.compile(r"(?P<name>[\w.:/-]+)@(?P<digest>sha256:[0-9a-f]{64})")
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?/")
_SECONDS = 120.0
_COPY_SECONDS = 3_600.0  # ten gigabytes over a slow line
_ABSENT = ("not found", "name unknown", "MANIFEST_UNKNOWN", "NAME_UNKNOWN")


@dataclass(frozen=True, slots=True)
class Signer:
    """The required signer: a workflow by its identity, or the holder of a key.

    Attributes:
        identity, issuer: of the certificate that cosign's keyless signing made.
        key: a public key, instead of both; then no transparency log is read.
    """

    identity: str = ""
    issuer: str = ""
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its name and digest: ``registry.example.com/torchserve@sha256:…``."""

    name: str
    digest: str

    @classmethod
    def parse(cls, reference: str) -> "Image":
        """Read a reference.

        Raises:
            InputError: it names no digest.
        """
        match = _DIGEST.fullmatch(reference)
        if match is None:
            raise InputError(f"{reference} names no image by its digest")
        return cls(match["name"], match["digest"])

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}"

    @property
    def plain_http(self) -> bool:
        """Return whether its registry speaks no TLS: only one on this machine may."""
        return bool(_LOOPBACK.match(self.name))


def exists(repository: Repository, image: Image) -> bool:
    """Return whether the registry has the image.

    Raises:
        HarnessError: the registry does not answer, or denies access.
    """
    plain = ["--plain-http"] if image.plain_http else []
    words = ["manifest", "fetch", "--descriptor", *plain, str(image)]
    try:
        _oras(repository, *words, seconds=_SECONDS)
    except command.CommandError as error:
        if any(word in error.message for word in _ABSENT):
            return False
        raise HarnessError(
            f"{image.name} cannot be read\n{error.message}", hint="docker login its registry"
        ) from error
    return True


def copy(repository: Repository, image: Image, name: str) -> Image:
    """Copy an image, and the signatures and attestations that refer to it, to another name.

    Raises:
        HarnessError: a registry refused.
    """
    target = Image(name, image.digest)
    plain = ["--from-plain-http"] if image.plain_http else []
    plain += ["--to-plain-http"] if target.plain_http else []
    try:
        _oras(repository, "copy", "-r", *plain, str(image), name, seconds=_COPY_SECONDS)
    except command.CommandError as error:
        raise HarnessError(
            f"{image} cannot be copied to {name}\n{error.message}", hint="docker login both"
        ) from error
    return target


def signature_problem(repository: Repository, image: Image, signer: Signer) -> str:
    """Return why an image does not count as signed by ``signer``, or "" if it does.

    Raises:
        HarnessError: cosign is missing and cannot be built.
    """
    if signer.key:
        who: list[str | Path] = ["--key", signer.key, "--insecure-ignore-tlog"]
    else:
        who = ["--certificate-identity", signer.identity]
        who += ["--certificate-oidc-issuer", signer.issuer]
    plain = ["--allow-http-registry"] if image.plain_http else []
    cosign = tools.find(repository, "cosign")
    argv = [cosign, "verify", *who, *plain, str(image)]
    try:
        command.run(argv, timeout=_SECONDS)
    except command.CommandError as error:
        return error.message.strip().splitlines()[-1]
    return ""


def _oras(repository: Repository, *words: str, seconds: float) -> None:
    command.run([tools.find(repository, "oras"), *words], timeout=seconds)
