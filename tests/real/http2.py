"""HTTP/2: many requests at once on each of a few connections, as far as the other end lets them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import H2Error

from harness.models.samples import PreparedSample
from tests.real.load import PATH, Load, tls_of

_HEAD = 9  # bytes of a frame's length, type, flags and stream
_GOAWAY = 7
_CONNECTIONS = 4  # one alone would know one of the two proxies


class Http2:
    """Connections in turn; one whose other end is leaving gets no new request."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._tls = tls_of(load, "h2")
        self._turn = 0
        self._connections: dict[int, Connection] = {}
        self._opening = asyncio.Lock()

    async def ask(self, sample: PreparedSample) -> tuple[int, bytes]:
        """Status and body of one answer."""
        self._turn = (self._turn + 1) % _CONNECTIONS
        connection = await self._connect(self._turn)
        return await connection.ask(
            [
                (":method", "POST"),
                (":scheme", "https" if self._tls else "http"),
                (":authority", self._load.host),
                (":path", PATH.format(sample.model)),
                ("content-type", sample.content_type),
                ("content-length", str(len(sample.body))),
            ],
            sample.body,
        )

    async def _connect(self, number: int) -> "Connection":
        async with self._opening:
            connection = self._connections.get(number)
            if not connection or connection.leaving:
                reader, writer = await asyncio.open_connection(
                    self._load.address,
                    self._load.port,
                    ssl=self._tls,
                    server_hostname=self._load.host if self._tls else None,
                )
                connection = self._connections[number] = Connection(reader, writer)
            return connection


@dataclass
class _Stream:
    """A request whose answer is on its way."""

    ended: asyncio.Future[None]
    status: int = 0
    parts: list[bytes] = field(default_factory=list)

    def handle(self, event: events.Event) -> None:
        """Take what arrived for it."""
        match event:
            case events.ResponseReceived():
                self.status = int(dict(event.headers)[b":status"])
            case events.DataReceived():
                self.parts.append(event.data)
            case events.StreamEnded():
                self.end()
            case events.StreamReset():
                self.end(EOFError(f"RST_STREAM {event.error_code}"))
            case _:
                pass

    def end(self, why: Exception | None = None) -> None:
        """Say that no more will come."""
        if self.ended.done():
            return
        if why:
            self.ended.set_exception(why)
        else:
            self.ended.set_result(None)


class Connection:
    """One connection, from its preface to the end of its last stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.leaving = False
        self._reader, self._writer = reader, writer
        self._streams: dict[int, _Stream] = {}
        self._rest = b""
        self._h2 = H2Connection(H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._flush()
        self._task = asyncio.create_task(self._read())

    async def ask(self, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a request on a stream of its own."""
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = _Stream(asyncio.get_running_loop().create_future())
        try:
            self._h2.send_headers(number, headers)
            self._h2.send_data(number, body, end_stream=True)
            self._flush()
            await stream.ended
            return stream.status, b"".join(stream.parts)
        except H2Error as error:
            raise OSError(repr(error)) from error
        finally:
            del self._streams[number]

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        why: Exception = EOFError("the connection was closed")
        try:
            while piece := await self._reader.read(65_536):
                for frame in self._frames(piece):
                    for event in self._h2.receive_data(frame):
                        self._handle(event)
                self._flush()
                if self.leaving and not self._streams:
                    break
        except (OSError, H2Error) as error:
            why = OSError(repr(error))
        self.leaving = True
        self._writer.close()
        for stream in self._streams.values():
            stream.end(why)

    def _frames(self, piece: bytes) -> Iterator[bytes]:
        """What arrived, frame by frame; GOAWAY is kept from h2, which takes it for the end.

        It is not: what was sent before it is still answered.
        """
        self._rest += piece
        while len(self._rest) >= _HEAD:
            size = _HEAD + int.from_bytes(self._rest[:3])
            if len(self._rest) < size:
                return
            frame, self._rest = self._rest[:size], self._rest[size:]
            if frame[3] == _GOAWAY:
                self._leave(int.from_bytes(frame[_HEAD : _HEAD + 4]))
            else:
                yield frame

    def _leave(self, last: int) -> None:
        """Send no more here; requests after the last one will not be answered."""
        self.leaving = True
        for number, stream in self._streams.items():
            if number > last:
                stream.end(EOFError("GOAWAY before the request"))

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream := self._streams.get(getattr(event, "stream_id", None) or 0):
            stream.handle(event)
