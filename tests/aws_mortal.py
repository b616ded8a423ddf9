"""A client of AWS that dies after any of its calls, as a process does that is killed."""

from typing import Any

from harness.aws import ANY, Aws


class Killed(BaseException):
    """No ``except Exception`` may live through it."""


class Mortal(Aws):
    """Dies after its n-th answer from AWS, before anybody sees it."""

    def __init__(self, lives: int) -> None:
        super().__init__("us-west-2", ANY)
        self.lives = lives

    def dying_after(self, calls: int) -> "Mortal":
        """The same, to die after so many calls; like a new process it does not know its caller."""
        self.__dict__.pop("caller", None)
        self.lives = calls
        return self

    def client(self, service: str) -> Any:
        known = service in self._clients
        client = super().client(service)
        if not known:
            client.meta.events.register("after-call", self._count)
        return client

    def _count(self, **_: object) -> None:
        self.lives -= 1
        if self.lives == 0:
            raise Killed
