"""A load profile, ``clusters/<env>/loadtest.yaml``: what is sent, how fast, and what must hold.

    arrivals: poisson           # or constant; `closed` sends as fast as its users get responses
    timeout: 10                 # seconds
    mix:
      - model: squeezenet1_1
        weight: 4
    stages:
      - kind: warm-up
        seconds: 5
        rate: 10                # requests per second over the whole mix
      - kind: hold
        seconds: 30
        rate: 20
    slos:
      - of: squeezenet1_1
        latency: {p95: 200}     # milliseconds from the moment the request was due
        errorRate: 0

A stage's level is a ``rate`` in open loop and a number of ``users`` in closed loop.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from harness.core import document
from harness.core.document import Camel
from harness.core.errors import InputError
from harness.loadtest.raw_request import PREDICTIONS, HeaderName, HeaderValue, RawRequest
from harness.slo import ErrorBudget, Slo
from harness.snapshot.routes import model_of

Seconds = Annotated[float, Field(gt=0, le=604_800)]
Level = Annotated[float, Field(ge=0, le=1_000_000)]

_LONGEST_COUNT = 3600.0  # seconds that users may take for a number of requests


class _Stage(Camel):
    seconds: Seconds
    # Whether the SLOs are judged on this stage; each kind has its own default.
    judged: bool = True

    def levels(self) -> list[tuple[float, float, float]]:
        """The stage as straight pieces: (seconds, level at the start, level at the end)."""
        raise NotImplementedError


class _Flat(_Stage):
    rate: Level | None = None
    users: Level | None = None

    @property
    def level(self) -> float:
        return self.users if self.rate is None else self.rate  # type: ignore[return-value]

    @model_validator(mode="after")
    def _one_level(self) -> Self:
        if (self.rate is None) == (self.users is None):
            raise ValueError("give either a rate (open loop) or a number of users (closed loop)")
        return self

    def levels(self) -> list[tuple[float, float, float]]:
        return [(self.seconds, self.level, self.level)]


class _Slope(_Stage):
    from_: Level = Field(alias="from")
    to: Level


class WarmUp(_Flat):
    """A flat level whose responses are checked but never judged: caches fill, workers wake."""

    kind: Literal["warm-up"]
    judged: Literal[False] = False


class Ramp(_Slope):
    """A straight line between two levels."""

    kind: Literal["ramp"]
    judged: bool = False

    def levels(self) -> list[tuple[float, float, float]]:
        return [(self.seconds, self.from_, self.to)]


class Hold(_Flat):
    """A flat level: the stage that SLOs and stability are judged on.

    Attributes:
        requests: how many are sent. Without ``seconds`` that ends the stage; users who are given
            both end with the first of them. Only the last stage may count.
    """

    kind: Literal["hold"]
    requests: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _length(cls, keys: Any) -> Any:
        if not isinstance(keys, dict) or "seconds" in keys:
            return keys
        requests, rate = keys.get("requests"), keys.get("rate")
        if requests is None:
            return keys
        counts = isinstance(requests, int) and isinstance(rate, int | float) and rate > 0
        return {**keys, "seconds": requests / rate if counts else _LONGEST_COUNT}


class Soak(_Flat):
    """A long hold: leaks and drift show in its later windows."""

    kind: Literal["soak"]


class Spike(_Flat):
    """A flat level whose middle third jumps to ``peak``."""

    kind: Literal["spike"]
    peak: Level

    def levels(self) -> list[tuple[float, float, float]]:
        third = self.seconds / 3
        return [(third, level, level) for level in (self.level, self.peak, self.level)]


class Step(_Slope):
    """A staircase of ``steps`` equal treads, the first at ``from`` and the last at ``to``."""

    kind: Literal["step"]
    steps: Annotated[int, Field(ge=2, le=1000)]

    def levels(self) -> list[tuple[float, float, float]]:
        rise = (self.to - self.from_) / (self.steps - 1)
        tread = self.seconds / self.steps
        heights = [self.from_ + rise * step for step in range(self.steps)]
        return [(tread, height, height) for height in heights]


Stage = Annotated[WarmUp | Ramp | Hold | Soak | Spike | Step, Field(discriminator="kind")]


class MixEntry(Camel):
    """One entry of the mix: a model (all its samples, or the one named) or a raw request."""

    model: str | None = None
    sample: str | None = None
    request: RawRequest | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.request.name if self.request else str(self.model)

    @property
    def model_name(self) -> str | None:
        """The model that is asked, without a version: a raw request names it by its path."""
        return model_of(self.request.path if self.request else f"/predictions/{self.model}")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.model is None) == (self.request is None):
            raise ValueError("name either a model or a request")
        if self.request and self.sample:
            raise ValueError("a sample belongs to a model, not to a raw request")
        return self


class Auth(Camel):
    """A header whose secret comes from the environment or a file, and is never written down."""

    header: HeaderName = "Authorization"
    prefix: HeaderValue = "Bearer "
    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("name either env (a variable) or file (a path)")
        return self


class ThinkTime(Camel):
    """Seconds that a user waits after each response, drawn evenly from between the two."""

    from_: Annotated[float, Field(alias="from", ge=0, le=3600)]
    to: Annotated[float, Field(ge=0, le=3600)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_ > self.to:
            raise ValueError("from is after to")
        return self


class RunLimits(Camel):
    """What the run itself has to keep, or its verdict on the server does not count.

    Attributes:
        lateness: milliseconds; 99 % of the requests leave no later than this after they are due.
        generator_cpu: the busiest generator process stays below this fraction of one core.
        confidence: that a percentile claimed within its limit really is.
        drift: how far the medians of a stage's three windows may lie apart, as a ratio.
    """

    lateness: Annotated[float, Field(gt=0)] = 5.0
    generator_cpu: Annotated[float, Field(gt=0, le=1)] = 0.9
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    drift: Annotated[float, Field(ge=1)] = 1.1


_RATES = ("rate", "peak", "from_", "to")
_Scaled = TypeVar("_Scaled", bound=Camel)


def _scale(settings: _Scaled, share: float, names: Collection[str]) -> _Scaled:
    """Settings with some of their figures multiplied, where they have them."""
    figures = {name: getattr(settings, name, None) for name in names}
    return settings.model_copy(
        update={name: figure * share for name, figure in figures.items() if figure is not None}
    )


class Profile(Camel):
    """A whole profile.

    Attributes:
        arrivals: ``poisson`` and ``constant`` are open loop; ``closed`` waits for each response.
        seed: of the arrival times and of the mix: the same seed sends the same requests.
        timeout: seconds a client waits for a response.
        max_in_flight: requests that may be unanswered at once; one more is dropped, which makes
            the run invalid.
        think_time: seconds that a user of a closed loop waits after each response.
        ca_file: PEM file of the authorities that the server's certificate is trusted by, relative
            to the profile; without it, those of this machine.
        insecure: do not verify the server's certificate. The report says so.
        error_budget: how the SLOs are watched in production; it changes nothing about a load test.
        traced: fraction of the requests that ask to be traced (docs/tracing.md).
    """

    protocol: Literal["rest", "grpc"] = "rest"
    arrivals: Literal["poisson", "constant", "closed"] = "poisson"
    seed: int = 1
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    max_in_flight: Annotated[int, Field(ge=1, le=20_000)] = 512
    think_time: Annotated[float, Field(ge=0, le=3600)] | ThinkTime | None = None
    ca_file: str | None = None
    insecure: bool = False
    traced: Annotated[float, Field(ge=0, le=1)] = 0.1
    auth: Auth | None = None
    mix: tuple[MixEntry, ...]
    stages: tuple[Stage, ...]
    slos: tuple[Slo, ...] = ()
    judge: RunLimits = RunLimits()
    # No default of its own: the digest of a profile that does not have it stays what it was.
    error_budget: ErrorBudget | None = None

    @property
    def budget(self) -> ErrorBudget:
        """How the SLOs are watched in production."""
        return self.error_budget or ErrorBudget()

    @property
    def seconds(self) -> float:
        """How long requests are sent."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def count(self) -> int | None:
        """How many requests its users send in the last stage, if a number ends it."""
        last = self.stages[-1]
        closed = self.arrivals == "closed"
        return last.requests if closed and isinstance(last, Hold) else None

    @property
    def pause(self) -> tuple[float, float]:
        """The shortest and the longest think time, in seconds."""
        if isinstance(self.think_time, ThinkTime):
            return self.think_time.from_, self.think_time.to
        return (self.think_time or 0.0, self.think_time or 0.0)

    def lasting(self, seconds: float) -> Self:
        """The same profile, its last stage ended after this many seconds from the start."""
        before = sum(stage.seconds for stage in self.stages[:-1])
        last = self.stages[-1].model_copy(update={"seconds": max(0.001, seconds - before)})
        return self.model_copy(update={"stages": (*self.stages[:-1], last)})

    @property
    def content(self) -> dict[str, Any]:
        """The profile as plain values, with the keys of the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def sha256(self) -> str:
        """Of its content as canonical JSON: files that differ only in form have the same digest."""
        canonical = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def of_models(self, models: Collection[str]) -> Self:
        """What the load puts on some of the models alone: their part of the mix and of the rate.

        Raises:
            InputError: none of the mix is left.
        """
        mix = tuple(each for each in self.mix if each.model_name in {None, *models})
        if not mix:
            names = ", ".join(models)
            raise InputError(f"the mix names none of {names}", hint="name them in loadtest.yaml")
        share = sum(each.weight for each in mix) / sum(each.weight for each in self.mix)
        names_left = {None, *(each.name for each in mix)}
        slos = tuple(_scale(slo, share, ("throughput",)) for slo in self.slos if not slo.of)
        slos += tuple(slo for slo in self.slos if slo.of and slo.of in names_left)
        stages = self.stages
        if self.arrivals != "closed":
            stages = tuple(_scale(stage, share, _RATES) for stage in stages)
        return self.model_copy(update={"mix": mix, "slos": slos, "stages": stages})

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [entry.name for entry in self.mix]
        if not names:
            raise ValueError("the mix is empty: name a model or a request")
        if duplicates := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"duplicate names in the mix: {', '.join(sorted(duplicates))}")
        if unknown := {slo.of for slo in self.slos if slo.of and slo.of not in names}:
            raise ValueError(f"an SLO names what the mix lacks: {', '.join(sorted(unknown))}")
        forbidden = "rate" if self.arrivals == "closed" else "users"
        if any(getattr(stage, forbidden, None) is not None for stage in self.stages):
            raise ValueError(f"arrivals: {self.arrivals} has no {forbidden}")
        if not any(stage.judged for stage in self.stages):
            raise ValueError("no stage is judged: add a hold")
        if self.protocol == "grpc":
            _asks_for_predictions([entry.request for entry in self.mix if entry.request])
        if self.think_time is not None and self.arrivals != "closed":
            raise ValueError("thinkTime is of users: it needs arrivals: closed")
        if self.ca_file and self.insecure:
            raise ValueError("caFile verifies the certificate, insecure does not: which one?")
        if self.insecure and self.protocol == "grpc":
            raise ValueError("gRPC always verifies: give caFile the server's own certificate")
        self._counts_last()
        return self

    def _counts_last(self) -> None:
        counted = [isinstance(stage, Hold) and stage.requests is not None for stage in self.stages]
        if any(counted[:-1]):
            raise ValueError("only the last stage may be a number of requests")
        if any(counted) and self.arrivals == "poisson":
            raise ValueError("a number of requests needs arrivals: constant (a rate) or closed")


def _asks_for_predictions(requests: list[RawRequest]) -> None:
    for request in requests:
        if not PREDICTIONS.fullmatch(request.path):
            raise ValueError(f"{request.name}: by gRPC a path is /predictions/NAME[/VERSION]")


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        InputError: what is wrong with it, as file:line.
    """
    return document.load(path, Profile)
