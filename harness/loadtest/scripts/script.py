"""What was understood of a script, and what was not; both become a profile with remarks."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import yaml

from harness.loadtest.scripts.call import Call

_PATH = "/predictions/"
_FIGURES = (
    *("users", "requests", "seconds", "rate", "rate_of_user", "stages", "slo", "think", "timeout"),
    *("ca_file", "auth"),
)
_NAME = 72  # characters; a profile takes 80, and some may need a number
_SAFE = "".join(map(chr, range(0x21, 0x7F)))  # what curl sends as it is
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# One way to read each text, else a long one that is none is tried in all of them.
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))*\d+(?:\.\d+)?(?:ms|[smhd])?")


def seconds(text: str) -> float:
    """``30``, ``30s``, ``5m``, ``1h30m`` as seconds.

    Raises:
        ValueError: it is none of them.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text} is not a duration")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])?", text)
    total = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if math.isinf(total):
        raise ValueError(f"{text} is beyond what a number can hold")
    return total


def ramps(first: float, level: float, seconds: float, speed: float) -> list[dict[str, object]]:
    """A level of users that is reached at ``speed`` users a second, as stages of a profile."""
    climb = min(seconds, abs(level - first) / speed) if speed and first != level else 0.0
    stages: list[dict[str, object]] = []
    if climb >= 1:  # less is not a ramp that a user of it would see
        stages.append({"kind": "ramp", "seconds": round(climb, 3), "from": first, "to": level})
    if seconds - climb >= 1 or not stages:
        rest = round(seconds - climb, 3) if stages else round(seconds, 3)
        stages.append({"kind": "hold", "seconds": rest, "users": level})
    return stages


@dataclass(slots=True)
class Script:
    """What scripts say together.

    Attributes:
        users: how many at once; None where it says none.
        requests: how many in all.
        seconds: how long.
        rate: requests a second, where the script paces itself.
        rate_of_user: requests a second of each user, where each paces itself.
        stages: of users, where the script has several; else the figures above are one.
        slo: its limits, if it has some.
        think: seconds that a user waits, from and to.
        timeout: seconds that a client waits.
        insecure: certificates are not verified.
        ca_file: those that are trusted.
        auth: variable of the environment that the bearer token is read from.
        left_out: what was not understood, or has no place in a profile, as lines to print.
    """

    calls: list[Call] = field(default_factory=list)
    users: int | None = None
    requests: int | None = None
    seconds: float | None = None
    rate: float | None = None
    rate_of_user: float | None = None
    stages: list[dict[str, object]] | None = None
    slo: dict[str, object] | None = None
    think: tuple[float, float] | None = None
    timeout: float | None = None
    insecure: bool = False
    ca_file: str | None = None
    auth: str | None = None
    left_out: list[str] = field(default_factory=list)

    def take(self, call: Call) -> None:
        """One more request, with its remarks."""
        self.calls.append(call)
        self.left_out += call.left_out
        if call.bearer:
            self.auth = "TOKEN"

    def figure(self, tool: str, text: str | None) -> float | None:
        """``10``, ``30s``, ``50/s`` as a number, in seconds; what is none is named.

        Args:
            tool: whose option it is.
            text: what the option says, or None.
        """
        if text is None:
            return None
        try:
            return seconds(text.removesuffix("/s"))
        except ValueError:
            self.left_out.append(f"{tool} {text}: is not a number, so {tool}'s own is taken")
            return None

    def add(self, other: "Script") -> None:
        """Take in another: its calls and remarks; its figures where this has none."""
        self.calls += other.calls
        self.left_out += other.left_out
        self.insecure = self.insecure or other.insecure
        for name in _FIGURES:
            first, second = getattr(self, name), getattr(other, name)
            if first is None:
                setattr(self, name, second)
            elif second not in (None, first):
                self.left_out.append(f"{name}: {second} is left out, {first} counts: it came first")

    @property
    def target(self) -> str:
        """The address that most calls go to; empty where none is said."""
        bases = [_base(call.url) for call in self.calls if _base(call.url)]
        return max(bases, key=bases.count, default="")

    @property
    def remarks(self) -> list[str]:
        """What was not carried over, and what had to be assumed, each once."""
        pace = []
        if self.rate_of_user and not self.stages:
            pace.append(
                f"its users pace themselves, {self.rate_of_user:g} requests a second each: "
                "an open loop now"
            )
        if self.stages and self.requests:
            pace.append(f"{self.requests} requests are left out: its stages count")
        if not (self.users or self.rate or self.requests or self.seconds or self.stages):
            pace.append("how many users, and for how long, is not in it: 1 user for 60 s")
        elif not (self.requests or self.seconds or self.stages):
            pace.append("how long is not in it: 60 s")
        if self.rate and self.users is None:
            pace.append(f"{self.rate:g} requests a second are an open loop now")
        if self.rate and self.users is not None:
            pace.append(f"{self.rate:g} requests a second are left out: {self.users} users count")
        if self.requests and self.seconds and not self.stages:
            pace.append(f"{self.requests} requests are left out: {self.seconds:g} seconds count")
        return list(dict.fromkeys([*self.left_out, *pace]))

    def profile(self) -> dict[str, object]:
        """The profile, as plain values in the order of a file."""
        rate, closed = self.rate, self.users is not None or self.rate is None
        if self.rate_of_user and not self.stages:
            rate, closed = self.rate_of_user * (self.users or 1), False
        closed = closed or bool(self.stages)
        profile: dict[str, object] = {"arrivals": "closed" if closed else "constant"}
        if self.timeout:
            profile["timeout"] = self.timeout
        if self.think and closed:
            first, last = self.think
            profile["thinkTime"] = first if first == last else {"from": first, "to": last}
        if self.ca_file:
            profile["caFile"] = self.ca_file
        elif self.insecure:
            profile["insecure"] = True
        if self.auth:
            profile["auth"] = {"env": self.auth}
        profile["mix"] = list(_mix(self.calls))
        hold: dict[str, object] = {"kind": "hold"}
        if self.requests and not self.seconds:
            hold["requests"] = self.requests
        else:
            hold["seconds"] = self.seconds or 60
        hold |= {"users": self.users or 1} if closed else {"rate": rate}
        profile["stages"] = _with_judged(self.stages) if self.stages else [hold]
        profile["slos"] = [self.slo or {"errorRate": 0}]
        return profile

    def text(self, source: str) -> str:
        """The profile as a file."""
        body = yaml.safe_dump(self.profile(), sort_keys=False, allow_unicode=True, width=100)
        return f"# From {source}. Add limits of latency to slos (docs/report.md).\n{body}"


def _with_judged(stages: list[dict[str, object]]) -> list[dict[str, object]]:
    """The stages; ramps are judged where nothing else is."""
    if any(stage["kind"] not in ("ramp", "warm-up") for stage in stages):
        return stages
    return [{**stage, "judged": True} for stage in stages]


def _base(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _mix(calls: Iterable[Call]) -> Iterable[Mapping[str, object]]:
    """The calls with names of their own; the same call again adds to its weight."""
    alike: dict[str, Call] = {}
    for call in calls:
        key = json.dumps([call.url, call.keys], sort_keys=True, default=str)
        if key in alike:
            alike[key].weight += call.weight
        else:
            alike[key] = Call(call.url, call.keys, call.weight)
    names: set[str] = set()
    for call in alike.values():
        parts = urlsplit(call.url)
        path = quote(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", safe=_SAFE)
        subject = parts.path.partition(_PATH)[2] or parts.path.strip("/") or "root"
        name = plain = subject[:_NAME]
        for number in range(2, len(alike) + 2):
            if name not in names:
                break
            name = f"{plain} {number}"
        names.add(name)
        request = {"name": name, "path": path, **call.keys}
        yield (
            {"request": request}
            if call.weight == 1
            else {
                "request": request,
                "weight": call.weight,
            }
        )
