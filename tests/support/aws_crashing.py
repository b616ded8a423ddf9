"""A client of AWS that dies after any of its calls, as a process does that is killed."""

from typing import Any

from harness.aws import ANY, Aws


class Killed(BaseException):
    """No ``except Exception`` may live through it."""


class CrashingAws(Aws):
    """Dies after its n-th answer from AWS, before anybody sees it."""

    def __init__(self, calls_left: int) -> None:
        super().__init__("us-west-2", ANY)
        self.calls_left = calls_left

    def crash_after(self, calls: int) -> "CrashingAws":
        """The same, to die after so many calls; like a new process it does not know its caller."""
        self.__dict__.pop("caller", None)
        self.calls_left = calls
        return self

    def client(self, service: str) -> Any:
        known = service in self._clients
        client = super().client(service)
        if not known:
            client.meta.events.register("after-call", self._count)
        return client

    def _count(self, **_: object) -> None:
        self.calls_left -= 1
        if self.calls_left == 0:
            raise Killed
