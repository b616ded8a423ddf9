"""Requests in flight, by what the kernel knows of the connections that carry them.

A plain HTTP/1.1 connection carries a request from the first byte of it until the peer has
acknowledged the last byte of the answer. Linux keeps, for each connection, when data last came and
last went, and how many bytes wait on either side (``tcp_info``); NETLINK_SOCK_DIAG tells it without
a privilege, for the sockets of one's own network namespace: in a pod, the pod's.

    uploading, queued, in flight    the client had the last word
    downloading                     bytes are not yet sent, or not yet acknowledged
    answered, kept open             the server had the last word, and nothing waits

An HTTP/2 connection also carries frames that belong to no request (pings, windows), so there the
last word means nothing: it is busy while bytes wait, and for a while after data came or went.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_AF_NETLINK: int | None = getattr(socket, "AF_NETLINK", None)  # of Linux alone
_REQUEST_DUMP = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_INET_DIAG_INFO = 2
# ESTABLISHED, FIN_WAIT1, CLOSE_WAIT, LAST_ACK, CLOSING: all that may still carry a byte of ours.
_STATES = sum(1 << state for state in (1, 4, 8, 9, 11))
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_REQUEST = struct.Struct("=BBBBI48x")  # inet_diag_req_v2; of its sockid a dump uses nothing
_MESSAGE = struct.Struct("=BBBB HH 44x IIIII")  # inet_diag_msg, ports in network order
_ATTRIBUTE = struct.Struct("=HH")
# tcp_info: last_data_sent and last_data_recv in ms ago, and the number of data segments each way.
_AGES, _SEGMENTS = struct.Struct("=44xI4xI"), struct.Struct("=152xII")
_TIMEOUT = 2.0  # seconds; the kernel answers in milliseconds, or not at all


class Unsupported(Exception):  # noqa: N818 - a property of the system, not an error
    """This system does not tell; the text says why."""


@dataclass(frozen=True)
class Connection:
    """A connection to a port of ours: ages in seconds since data last came and went, None if it
    never did, and whether bytes wait in either direction.
    """

    port: int
    received: float | None
    sent: float | None
    waiting: bool

    def carries_request(self) -> bool:
        """Of plain HTTP/1.1. Ages that are equal (one tick of the kernel, up to 10 ms) are an
        answer as fast as that; a request that came within the same tick as the last answer went is
        told by the batch that it becomes.
        """
        if self.waiting or self.received is None:
            return self.waiting
        return self.sent is None or self.received < self.sent

    def moved_within(self, seconds: float) -> bool:
        """Bytes wait, or data came or went in the last ``seconds``."""
        ages = (age for age in (self.received, self.sent) if age is not None)
        return self.waiting or min(ages, default=seconds) < seconds


def requests_in_flight(http: int, grpc: int | None = None, quiet: float = 0) -> int:
    """Connections to the port ``http`` that carry a request, and those to the port ``grpc`` on
    which something has moved in the last ``quiet`` seconds.

    Raises:
        Unsupported: the kernel does not tell.
    """
    return sum(
        each.carries_request() if each.port == http else each.moved_within(quiet)
        for each in connections({http} | ({grpc} if grpc else set()))
    )


def connections(ports: set[int]) -> list[Connection]:
    """The open connections that were made to one of ``ports``, on IPv4 and IPv6.

    Raises:
        Unsupported: the kernel does not tell.
    """
    families = (socket.AF_INET, socket.AF_INET6)  # Java listens on IPv6, for both
    return [each for family in families for each in _dump(family) if each.port in ports]


def _dump(family: int) -> Iterator[Connection]:
    if _AF_NETLINK is None:
        raise Unsupported("this system has no netlink")
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 0, _STATES)
    length = _HEADER.size + len(body)
    head = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, os.getpid(), 0)
    try:
        with socket.socket(_AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_TIMEOUT)
            kernel.send(head + body)
            while data := kernel.recv(1 << 16):
                for kind, payload in _messages(data):
                    if kind == _DONE:
                        return
                    if kind == _ERROR:
                        number = -struct.unpack_from("=i", payload)[0]
                        raise Unsupported(f"sock_diag: {os.strerror(number)}")
                    yield _connection(payload)
    except (OSError, struct.error) as error:
        raise Unsupported(f"sock_diag: {error}") from error
    raise Unsupported("sock_diag: the answer has no end")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[_align(length) :]


def _connection(payload: bytes) -> Connection:
    fields: Sequence[int] = _MESSAGE.unpack_from(payload)
    port, unread, unsent = socket.ntohs(fields[4]), fields[7], fields[8]
    info, received, sent = _info(payload[_MESSAGE.size :]), None, None
    if len(info) >= _SEGMENTS.size:
        sent_ago, received_ago = _AGES.unpack_from(info)
        segments_in, segments_out = _SEGMENTS.unpack_from(info)
        received = received_ago / 1000 if segments_in else None
        sent = sent_ago / 1000 if segments_out else None
    elif not (unread or unsent):
        raise Unsupported("sock_diag: no tcp_info")
    return Connection(port, received, sent, waiting=bool(unread or unsent))


def _info(attributes: bytes) -> bytes:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _INET_DIAG_INFO:
            return attributes[_ATTRIBUTE.size : length]
        attributes = attributes[_align(length) or _ATTRIBUTE.size :]
    return b""


def _align(length: int) -> int:
    return (length + 3) & ~3
