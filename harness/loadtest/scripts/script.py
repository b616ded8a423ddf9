"""What was understood of a script, and what was not; both become a profile with remarks."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import yaml

from harness.loadtest.scripts.call import Call

_PATH = "/predictions/"


@dataclass(slots=True)
class Script:
    """What scripts say together.

    Attributes:
        users: how many at once; None where it says none.
        requests: how many in all.
        seconds: how long.
        rate: requests a second, where the script paces itself.
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

    def add(self, other: "Script") -> None:
        """Take in another: its calls and remarks; its figures where this has none."""
        self.calls += other.calls
        self.left_out += other.left_out
        self.insecure = self.insecure or other.insecure
        for name in ("users", "requests", "seconds", "rate", "think", "timeout", "ca_file", "auth"):
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
        if not (self.users or self.rate or self.requests or self.seconds):
            pace.append("how many users, and for how long, is not in it: 1 user for 60 s")
        if self.rate and self.users is None:
            pace.append(f"{self.rate:g} requests a second are an open loop now")
        if self.rate and self.users is not None:
            pace.append(f"{self.rate:g} requests a second are left out: {self.users} users count")
        if self.requests and self.seconds:
            pace.append(f"{self.requests} requests are left out: {self.seconds:g} seconds count")
        return list(dict.fromkeys([*self.left_out, *pace]))

    def profile(self) -> dict[str, object]:
        """The profile, as plain values in the order of a file."""
        closed = self.users is not None or self.rate is None
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
        hold |= {"users": self.users or 1} if closed else {"rate": self.rate}
        profile["stages"] = [hold]
        profile["slos"] = [{"errorRate": 0}]
        return profile

    def text(self, source: str) -> str:
        """The profile as a file."""
        body = yaml.safe_dump(self.profile(), sort_keys=False, allow_unicode=True, width=100)
        return f"# From {source}. Add limits of latency to slos (docs/report.md).\n{body}"


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
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        name = plain = parts.path.partition(_PATH)[2] or parts.path.strip("/") or "root"
        for number in range(2, len(alike) + 2):
            if name not in names:
                break
            name = f"{plain} {number}"
        names.add(name)
        request = {"name": name[:80], "path": path, **call.keys}
        yield (
            {"request": request}
            if call.weight == 1
            else {
                "request": request,
                "weight": call.weight,
            }
        )
