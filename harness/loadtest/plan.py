"""All that a generator needs to know, as one JSON document; its secret is only named in it.

The master sends the plan to its workers, so a worker on another machine needs no file but its
own secret.
"""

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict

from harness.core.document import Strict
from harness.core.errors import HarnessError, InputError
from harness.loadtest import tracing
from harness.loadtest.profile import Auth, MixEntry, Profile
from harness.loadtest.raw_request import RawRequest
from harness.loadtest.target import ServingGroup, Target
from harness.models.answer import Expected
from harness.models.samples import Origin, PreparedSample


class Wire(Strict):
    """A ``Strict`` model whose bytes travel as base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Request(Wire):
    """One request of the mix. ``weight`` over the sum of weights is its fraction of all;
    ``origin`` is who knows the expected answer.

    Attributes:
        url: the server that it goes to; None for the plan's own.
        host: the name that it carries by gRPC; None for the plan's own.
        group: the serving group that gets it, if that is known.
        also: statuses that are neither a correct response nor a failure: counted apart.
        fields: those of a form, which gRPC sends as the inputs.
        stream: ask by gRPC's StreamPredictions.
    """

    name: str
    model: str | None
    weight: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    expected: Expected
    also: tuple[int, ...] = ()
    fields: tuple[tuple[str, bytes], ...] = ()
    stream: bool = False
    origin: Origin = "written"
    url: str | None = None
    host: str | None = None
    group: str | None = None


class Plan(Wire):
    """What the generators do. ``levels`` are the profile's stages as straight pieces.

    Attributes:
        count: how many requests users send in the last piece; None where it ends by the clock.
        pause: the shortest and the longest think time of a user, in seconds.
        ca: certificates of the authorities to trust, as PEM; empty for this machine's.
        verify: whether the server's certificate is verified.
        run: of the trace ids of its requests, the half that they share; see ``tracing``.
        traced: fraction of the requests that ask to be traced.
    """

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
    count: int | None = None
    pause: tuple[float, float] = (0.0, 0.0)
    ca: str = ""
    verify: bool = True
    run: str = ""
    traced: float = 0.0


def prepare(
    profile: Profile,
    target: Target,
    samples: Mapping[str, Sequence[PreparedSample]],
    folder: Path,
) -> Plan:
    """Turn a profile into what is sent.

    Args:
        folder: where the profile's files are looked for.

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
        _send_to_group(request, target.group_of(request.path), prefix)
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
        count=profile.count,
        pause=profile.pause,
        ca=_authorities(folder / profile.ca_file) if profile.ca_file else "",
        verify=not profile.insecure,
        run=tracing.new_run(),
        traced=profile.traced,
    )


def _send_to_group(request: Request, group: ServingGroup | None, prefix: str) -> Request:
    """A request on its way to the group that gets it."""
    where = {"url": group.url, "host": group.grpc_host, "group": group.name} if group else {}
    return request.model_copy(update={"path": f"{prefix}{request.path}", **where})


def _authorities(path: Path) -> str:
    try:
        pem = path.read_text("ascii")
        ssl.create_default_context(cadata=pem)
    except OSError as error:  # ssl's own error is one too
        raise InputError(f"no certificates of authorities: {error}", at=path) from error
    except ValueError as error:
        raise InputError("no certificates: caFile is a PEM file", at=path) from error
    return pem


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
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise HarnessError(
                f"cannot read the secret: {reason}", at=Path(str(auth.file))
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
        yield from _raw(entry.request, entry.weight, folder)
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
            hint="run `harness models build`; a model from elsewhere is a `request` of the mix "
            "(docs/loadtest.md)",
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


def _raw(request: RawRequest, weight: float, folder: Path) -> Iterator[Request]:
    bodies = request.bodies(folder)
    statuses = request.statuses
    for body in bodies:
        headers = dict(request.headers)
        if body.content_type and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = body.content_type
        yield Request(
            name=request.name,
            model=None,
            weight=weight / len(bodies),
            method=request.verb,
            path=request.path,
            headers=headers,
            body=body.content,
            fields=body.fields,
            stream=request.stream,
            expected=Expected(
                status=statuses[:1], contains=(request.contains,) if request.contains else ()
            ),
            also=statuses[1:],
            origin="written" if request.contains else "status",
        )
