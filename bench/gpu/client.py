"""A closed-loop client of the standard library: one connection and one thread a client."""

import http.client
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP, 0 where the connection ended without one.
        seconds: from the request to the whole answer.
        sent: when, on the monotonic clock.
    """

    status: int
    body: bytes
    seconds: float
    sent: float


class Client:
    """Asks one server, over one connection."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        """``timeout`` is in seconds, for each step of an exchange."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)

    def post(self, path: str, body: bytes, content_type: str) -> Reply:
        """Send one request; a connection that was lost is made again for the next."""
        sent = time.monotonic()
        try:
            self._connection.request("POST", path, body, {"Content-Type": content_type})
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Reply(0, str(error).encode(), time.monotonic() - sent, sent)
        return Reply(response.status, content, time.monotonic() - sent, sent)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def load(url: str, ask: Callable[[Client], Reply], *, clients: int, seconds: float) -> list[Reply]:
    """Let so many clients ask, each as soon as it has its answer, for so long."""
    until = time.monotonic() + seconds
    replies: list[list[Reply]] = [[] for _ in range(clients)]

    def work(mine: list[Reply]) -> None:
        client = Client(url)
        while time.monotonic() < until:
            mine.append(ask(client))
        client.close()

    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in replies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    return [reply for mine in replies for reply in mine]


def percentile(replies: Sequence[Reply], percent: int) -> float:
    """Milliseconds that so many percent of the answers took at the most."""
    taken = [1000 * reply.seconds for reply in replies]
    return statistics.quantiles(taken, n=100, method="inclusive")[percent - 1]
