"""All that a generator needs to know, as one JSON document; its secret is only named in it.

The master sends the plan to its workers, so a worker on another machine needs no file but its
own secret.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict

from harness.core.document import Strict
from harness.core.errors import HarnessError, InputError
from harness.loadtest.profile import Auth, MixEntry, Profile, RawRequest
from harness.loadtest.target import Target
from harness.models.answer import Expected
from harness.models.samples import Origin, PreparedSample


class Wire(Strict):
    """A ``Strict`` model whose bytes travel as base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Request(Wire):
    """One request of the mix. ``weight`` over the sum of weights is its fraction of all;
    ``origin`` is who knows the expected answer, ``host`` the gRPC host of the model's group.
    """

    name: str
    model: str | None
    weight: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    expected: Expected
    origin: Origin = "written"
    host: str | None = None


class Plan(Wire):
    """What the generators do. ``levels`` are the profile's stages as straight pieces."""

    url: str
    host: str
    protocol: Literal["rest", "grpc"]
    arrivals: Literal["poisson", "constant", "closed"]
    seed: int
    timeout: float
    max_in_flight: int
    auth: Auth | None
    levels: tuple[tuple[float, float, float], ...]
    requests: tuple[Request, ...]


def prepare(
    profile: Profile,
    target: Target,
    samples: Mapping[str, Sequence[PreparedSample]],
    folder: Path,
) -> Plan:
    """Turn a profile into what is sent.

    Args:
        folder: where the profile's ``body_file`` and ``auth.file`` are looked for.

    Raises:
        InputError: the mix names a model or sample that was not built, or a file is missing.
        HarnessError: the secret that ``auth`` names is not found.
    """
    auth = profile.auth
    if auth and auth.file:
        auth = auth.model_copy(update={"file": str((folder / auth.file).resolve())})
    if auth:
        secret(auth)
    prefix = urlsplit(target.url).path.rstrip("/")
    requests = [
        request.model_copy(
            update={
                "path": f"{prefix}{request.path}",
                "host": target.grpc_hosts.get(request.model or ""),
            }
        )
        for entry in profile.mix
        for request in _requests(entry, samples, folder)
    ]
    return Plan(
        url=target.url,
        host=target.host or urlsplit(target.url).netloc,
        protocol=profile.protocol,
        arrivals=profile.arrivals,
        seed=profile.seed,
        timeout=profile.timeout,
        max_in_flight=profile.max_in_flight,
        auth=auth,
        levels=tuple(piece for stage in profile.stages for piece in stage.levels()),
        requests=tuple(requests),
    )


def secret(auth: Auth) -> str:
    """The secret that ``auth`` names.

    Raises:
        HarnessError: the variable is not set, or the file cannot be read or is empty.
    """
    if auth.env is not None:
        value, source = os.environ.get(auth.env, ""), f"the variable {auth.env}"
    else:
        try:
            value, source = Path(str(auth.file)).read_text().strip(), f"the file {auth.file}"
        except OSError as error:
            raise HarnessError(
                f"cannot read the secret: {error.strerror}", at=Path(str(auth.file))
            ) from error
    if not value or not value.isprintable() or not value.isascii():
        raise HarnessError(
            f"{source} holds no secret for the {auth.header} header",
            hint="set it to the token or key that the endpoint expects",
        )
    return value


def _requests(
    entry: MixEntry, samples: Mapping[str, Sequence[PreparedSample]], folder: Path
) -> Iterator[Request]:
    if entry.request:
        yield _raw(entry.request, entry.weight, folder)
        return
    chosen = [
        sample
        for sample in samples.get(str(entry.model), ())
        if entry.sample in (None, sample.name)
    ]
    if not chosen:
        built = ", ".join(sorted(samples)) or "none"
        sample_of = f"sample {entry.sample} of " if entry.sample else ""
        raise InputError(
            f"the mix names {sample_of}{entry.model}: no prepared request (built: {built})",
            hint="run `harness models build`, or correct the mix",
        )
    for sample in chosen:
        yield Request(
            name=entry.name,
            model=sample.model,
            weight=entry.weight / len(chosen),
            method="POST",
            path=f"/predictions/{quote(str(entry.model))}",
            headers={"Content-Type": sample.content_type},
            body=sample.body,
            expected=sample.expected,
            origin=sample.origin,
        )


def _raw(request: RawRequest, weight: float, folder: Path) -> Request:
    body = b""
    if request.body_file:
        path = folder / request.body_file
        try:
            body = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", at=path) from error
    return Request(
        name=request.name,
        model=None,
        weight=weight,
        method=request.method,
        path=request.path,
        headers=request.headers,
        body=body,
        expected=Expected(
            status=(request.status,), contains=(request.contains,) if request.contains else ()
        ),
    )
