"""An AWS on this machine: moto's server in a process of its own, and a shim in front of it.

The shim answers as AWS's documentation says where moto does not (moto 5.2.5):

- efs CreateAccessPoint: moto ignores ClientToken and makes another one. AWS: 409
  AccessPointAlreadyExists, with the id.
- efs CreateFileSystem: moto's FileSystemAlreadyExists lacks the FileSystemId.
- efs PutBackupPolicy, UpdateFileSystem: moto has neither; the shim remembers what they set.
- efs: in moto everything is available at once. ``slow`` makes it `creating` for that many looks.
- eks DescribeCluster: moto lacks vpcId and clusterSecurityGroupId, and its endpoint is nobody's.
- cloudformation, kms, and more of eks: see tests/support/aws_foundation.py.
- s3 UploadPart, ListParts: moto neither checks nor lists a part's SHA-256.

It also counts calls, refuses, hides and loses them, as a test tells it to.
"""

import base64
import collections
import hashlib
import http.client
import http.server
import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import botocore.session

from tests.support.aws_foundation import Foundation
from tests.support.aws_messages import QUERY, Reply, Request, error
from tests.support.parent_death import serving

ID_KEYS = ("FileSystemId", "MountTargetId", "AccessPointId")
LISTS = {
    "DescribeFileSystems": ("FileSystems", "FileSystemId"),
    "DescribeMountTargets": ("MountTargets", "MountTargetId"),
    "DescribeAccessPoints": ("AccessPoints", "AccessPointId"),
}


def moto() -> AbstractContextManager[str]:
    """moto's server on a free port; yields its URL."""
    argv = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    return serving(argv, r"(http://127\.0\.0\.1:\d+)")


Twist = Callable[[Request, Callable[[], Reply]], Reply | None]
"""Answers a request instead of AWS (the callable makes it); None loses the answer."""


@dataclass
class Shim(Foundation):
    """The way to moto. ``twists`` are the faults that wait for their operation, in order."""

    moto: str
    url: str = ""
    slow: int = 0
    calls: list[str] = field(default_factory=list)
    network: dict[str, tuple[str, str]] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    twists: dict[str, list[Twist]] = field(default_factory=lambda: collections.defaultdict(list))
    _looks: dict[str, int] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    _changed: dict[str, dict[str, object]] = field(
        default_factory=lambda: collections.defaultdict(dict)
    )
    _parts: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def reset(self) -> None:
        """Forget faults and calls; what was made stays."""
        self.slow = 0
        self.calls.clear()
        self.twists.clear()

    def empty(self) -> None:
        """Make it an account in which there is nothing."""
        self.reset()
        self.forget()
        self._forward(Request("POST", "/moto-api/reset", {}, b"", "", ""))

    def refuse(self, operation: str, code: str, *, times: int = 1, status: int = 400) -> None:
        """Answer the next calls of an operation with an error, and do not make them."""
        self.twists[operation] += [lambda request, _: error(request, status, code)] * times

    def hide(self, operation: str, *, times: int) -> None:
        """Let the next answers of an efs or ec2 operation know of nothing yet."""

        def empty(request: Request, ask: Callable[[], Reply]) -> Reply:
            reply = ask()
            if request.service == "ec2":
                return Reply(
                    200,
                    reply.headers,
                    re.sub(rb"<item>.*</item>", b"", reply.body, flags=re.DOTALL),
                )
            return reply.saying({LISTS[operation][0]: []})

        self.twists[operation] += [empty] * times

    def lose(self, operation: str, then: Callable[[], object] = lambda: None) -> None:
        """Make the next call of an operation, and never answer."""

        def lose_answer(_: Request, ask: Callable[[], Reply]) -> None:
            ask()
            then()

        self.twists[operation].append(lose_answer)

    def answer(self, request: Request) -> Reply | None:
        with self._lock:
            self.calls.append(request.operation)
            waiting = self.twists[request.operation]
            twist = waiting.pop(0) if waiting else None
        return (
            twist(request, lambda: self._serve_alone(request))
            if twist
            else self._serve_alone(request)
        )

    def _serve_alone(self, request: Request) -> Reply:
        with self._lock:  # moto's tables are plain dictionaries
            return self._correct(request)

    def _correct(self, request: Request) -> Reply:
        fix = getattr(self, f"_{request.operation}", None)
        reply = fix(request) if fix else self._forward(request)
        if request.operation in LISTS and reply.status == 200:
            return self._with_states(request, reply)
        if request.operation.startswith("Create") and request.service == "efs":
            for key in ID_KEYS[::-1]:
                if reply.status < 300 and key in reply.json:
                    self._looks[reply.json[key]] = self.slow
                    break
        return reply

    def _with_states(self, request: Request, reply: Reply) -> Reply:
        key, name = LISTS[request.operation]
        answer = reply.json
        for item in answer[key]:
            if self._looks.get(item[name], 0) > 0:
                self._looks[item[name]] -= 1
                item["LifeCycleState"] = "creating"
            item.update(self._changed[item[name]])
            if name == "FileSystemId" and item[name] in self.sizes:
                item["SizeInBytes"]["Value"] = self.sizes[item[name]]
        return reply.saying(answer)

    def _CreateFileSystem(self, request: Request) -> Reply:  # noqa: N802 (AWS's name)
        token = ("", request.json["CreationToken"])
        reply = self._forward(request)
        if reply.status < 300:
            self._tokens[token] = reply.json["FileSystemId"]
        elif "AlreadyExists" in reply.headers.get("x-amzn-errortype", ""):
            return reply.saying(reply.json | {"FileSystemId": self._tokens[token]})
        return reply

    def _CreateAccessPoint(self, request: Request) -> Reply:  # noqa: N802
        token = (request.json["FileSystemId"], request.json["ClientToken"])
        if token in self._tokens:
            known = {"AccessPointId": self._tokens[token]}
            return error(request, 409, "AccessPointAlreadyExists", **known)
        reply = self._forward(request)
        if reply.status < 300:
            self._tokens[token] = reply.json["AccessPointId"]
        return reply

    def _DeleteAccessPoint(self, request: Request) -> Reply:  # noqa: N802
        gone = request.path.rsplit("/", 1)[1]
        self._tokens = {token: each for token, each in self._tokens.items() if each != gone}
        return self._forward(request)

    def _PutBackupPolicy(self, request: Request) -> Reply:  # noqa: N802
        self._changed[request.path]["policy"] = request.json
        return Reply(200, {"content-type": "application/json"}, request.body)

    def _DescribeBackupPolicy(self, request: Request) -> Reply:  # noqa: N802
        if set_here := self._changed[request.path].get("policy"):
            return Reply(200, {"content-type": "application/json"}, json.dumps(set_here).encode())
        return self._forward(request)

    def _UpdateFileSystem(self, request: Request) -> Reply:  # noqa: N802
        self._changed[request.path.rsplit("/", 1)[1]] |= request.json
        return Reply(202, {"content-type": "application/json"}, b"{}")

    def _DescribeCluster(self, request: Request) -> Reply:  # noqa: N802
        reply = self._forward(request)
        if reply.status != 200:
            return reply
        answer = reply.json
        vpc, group = self.network[answer["cluster"]["name"]]
        answer["cluster"]["resourcesVpcConfig"] |= {"vpcId": vpc, "clusterSecurityGroupId": group}
        answer["cluster"]["endpoint"] = self.endpoints.get(answer["cluster"]["name"], "https://x")
        return reply.saying(answer)

    def _UploadPart(self, request: Request) -> Reply:  # noqa: N802
        checksum = request.headers.get("x-amz-checksum-sha256", "")
        if checksum != base64.b64encode(hashlib.sha256(request.body).digest()).decode():
            return error(request, 400, "BadDigest")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
        self._parts[query["uploadId"], query["partNumber"]] = checksum
        return self._forward(request)

    def _ListParts(self, request: Request) -> Reply:  # noqa: N802
        reply = self._forward(request)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))

        def with_checksum(match: re.Match[bytes]) -> bytes:
            checksum = self._parts[query["uploadId"], match[1].decode()].encode()
            return match[0] + b"<ChecksumSHA256>" + checksum + b"</ChecksumSHA256>"

        return Reply(
            reply.status,
            reply.headers,
            re.sub(rb"<PartNumber>(\d+)</PartNumber>", with_checksum, reply.body),
        )

    def _forward(self, request: Request) -> Reply:
        address = urllib.parse.urlsplit(self.moto)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read())
        finally:
            connection.close()


@contextmanager
def shim(moto_url: str) -> Iterator[Shim]:
    """A shim in front of ``moto_url``."""
    new_shim = Shim(moto_url)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # it would hold every body back for 40 ms

        def handle_one_request(self) -> None:
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                return
            length = int(self.headers.get("Content-Length") or 0)
            request = parse_request(self.command, self.path, self.headers, self.rfile.read(length))
            reply = new_shim.answer(request)
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name not in (
                    "connection",
                    "content-length",
                    "date",
                    "server",
                    "transfer-encoding",
                ):
                    self.send_header(name, value)
            length = reply.headers.get("content-length", "0")
            self.send_header(
                "content-length", length if self.command == "HEAD" else str(len(reply.body))
            )
            self.end_headers()
            if self.command != "HEAD":
                cut = int(reply.headers.get("x-cut", len(reply.body)))
                self.close_connection = cut < len(reply.body)
                self.wfile.write(reply.body[:cut])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that was killed has hung up
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    new_shim.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield new_shim
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_S3 = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("GET", "uploads"): "ListMultipartUploads",
    ("PUT", "partNumber"): "UploadPart",
    ("GET", "uploadId"): "ListParts",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("GET", "list-type"): "ListObjectsV2",
    ("POST", "delete"): "DeleteObjects",
    ("HEAD", ""): "HeadObject",
    ("GET", ""): "GetObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
}


def parse_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A request with its service and operation, as the signature and the service's model say."""
    scope = re.search(r"/([a-z0-9]+)/aws4_request", headers.get("Authorization", ""))
    service = {"elasticfilesystem": "efs"}.get(scope[1], scope[1]) if scope else ""
    url = urllib.parse.urlsplit(path)
    if service in ("ec2", *QUERY):
        operation = urllib.parse.parse_qs(body.decode())["Action"][0]
    elif target := headers.get("X-Amz-Target"):
        operation = target.rpartition(".")[2]
    elif service == "s3":
        keys = [*urllib.parse.parse_qs(url.query, keep_blank_values=True), ""]
        operation = next(_S3[method, key] for key in keys if (method, key) in _S3)
    elif service in ("efs", "eks"):
        operation = next(
            n for m, form, n in _forms(service) if m == method and form.fullmatch(url.path)
        )
    else:
        operation = url.path.rsplit("/", 1)[1]
    return Request(method, path, headers, body, service, operation)


def _forms(service: str, known: dict[str, list] = {}) -> list:  # noqa: B006 (a cache)
    if service not in known:
        model = botocore.session.get_session().get_service_model(service)
        known[service] = [
            (
                model.operation_model(name).http["method"],
                re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(
                    model.operation_model(name).http["requestUri"].split("?")[0]))),
                name,
            )
            for name in model.operation_names
        ]  # fmt: skip
    return known[service]
