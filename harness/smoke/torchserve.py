"""One server: what lies where it runs, and its responses; a pod's, or the one on this machine.

Everything happens where the server is, by ``kubectl exec`` or here: its loopback is in reach, and
no NetworkPolicy is in the way. kubectl is testinfra's back end, and Python's standard library is
all that the pod needs to have.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.backend.kubectl import KubectlBackend
from testinfra.backend.local import LocalBackend
from testinfra.host import Host

from harness.core.command import run
from harness.core.errors import HarnessError, InputError
from harness.core.repository import FIRST_GROUP
from harness.core.values import Value, dig, items, mapping, text
from harness.embedded_server import CONFIG, FILES, Server
from harness.snapshot import properties

_SECONDS = 60.0  # for a command there
_HASHING = 1_200.0  # for one that reads an archive: 10 GB at 10 MB/s
_RESPONSE = 150.0  # for a request: the gateway gives up after 130 s
_ANY = range(256)
_CONTAINER = "torchserve"

Address = IPv4Address | IPv6Address
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp

# Asks as one line of standard input tells. Whatever the status, it is an answer; 0 is none.
_REQUEST_SCRIPT = """
import base64, http.client, json, sys, urllib.error, urllib.request
call = json.loads(sys.stdin.readline())
body = base64.b64decode(call["body"]) if call["body"] else None
request = urllib.request.Request(call["url"], body, call["headers"])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    reply = opener.open(request, timeout=call["seconds"])
    answer = reply.status, reply.read()
except urllib.error.HTTPError as error:
    answer = error.code, error.read()
except (OSError, http.client.HTTPException) as error:
    answer = 0, str(error).encode()
json.dump([answer[0], base64.b64encode(answer[1]).decode()], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """How a cluster is reached by kubectl: its own kubeconfig and context by default."""

    program: Path
    kubeconfig: Path | None = None
    context: str | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The beginning of a command."""
        named = ("--context", self.context) if self.context else ()
        return (str(self.program), *named)

    @property
    def environment(self) -> dict[str, str]:
        """For the process: the program first in PATH, since testinfra calls it by name."""
        path = f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {"PATH": path} | ({"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {})

    def __str__(self) -> str:
        """As a person would type it."""
        before = f"KUBECONFIG={self.kubeconfig} " if self.kubeconfig else ""
        return f"{before}kubectl" + (f" --context {self.context}" if self.context else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body of a good answer.

        Raises:
            InputError: the status is not 200, or the body no JSON.
        """
        try:
            if self.status == 200:
                return json.loads(self.body)
        except ValueError:
            pass
        raise InputError(f"HTTP {self.status}: {self.body[:200].decode(errors='replace')}")


@dataclass(frozen=True)
class TorchServe:
    """A server.

    Attributes:
        name: of the pod, or of what it is.
        group: the serving group that it belongs to.
        host: testinfra's view of where it runs.
        config_file: the config.properties that it was started with, there.
        files_file: the list of archives that the launcher has checked, there.
        launcher: base URL of the launcher, there.
        gpus: how many it was given.
        python: what brings a Python program there, and runs it.
        environment: for that command.
    """

    name: str
    group: str
    host: Host
    config_file: str
    files_file: str
    launcher: str
    gpus: int
    python: tuple[str, ...]
    environment: Mapping[str, str]

    @cached_property
    def config(self) -> dict[str, str]:
        """Its config.properties, parsed."""
        return properties.parse(self.text(self.config_file))

    def text(self, path: str) -> str:
        """A file there.

        Raises:
            InputError: it cannot be read.
        """
        return self.output_of("cat -- %s", path)

    def output_of(self, line: str, *words: str) -> str:
        """Return the output of a command there; each ``%s`` is a quoted word.

        Raises:
            InputError: it failed.
        """
        result = self.host.run(line, *words)
        if result.failed:
            why = (result.stderr or result.stdout).strip()[-500:]
            raise InputError(f"{self.name}: `{line % words}`: exit code {result.rc}: {why}")
        return str(result.stdout)

    @property
    def launcher_port(self) -> int:
        return urlsplit(self.launcher).port or 80

    def port(self, address: str) -> int:
        """The port of an address in its config, such as ``management_address``."""
        return urlsplit(self.config[address]).port or 80

    def listening(self) -> dict[int, set[Address]]:
        """Port → the addresses that are listening there."""
        addresses: dict[int, set[Address]] = {}
        for line in self.output_of("cat /proc/net/tcp /proc/net/tcp6").splitlines():
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTENING:
                address, _, port = fields[1].partition(":")
                addresses.setdefault(int(port, 16), set()).add(_address(address))
        return addresses

    def describe(self, model: str, version: str) -> dict[str, Any]:
        """Return the management API's description of a version of a model.

        Raises:
            InputError: it does not know it.
        """
        path = f"/models/{quote(model)}/{quote(version)}"
        described: dict[str, Any] = self.get("management_address", path).json()[0]
        return described

    def get(self, address: str, path: str) -> Answer:
        """GET a path at one of the addresses in its config."""
        return self.request(f"http://127.0.0.1:{self.port(address)}{path}")

    def predict(self, model: str, body: bytes, content_type: str) -> Answer:
        """Ask a model for a prediction."""
        url = f"http://127.0.0.1:{self.port('inference_address')}/predictions/{quote(model)}"
        return self.request(url, body, {"Content-Type": content_type})

    def request(
        self, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request from where it runs.

        Raises:
            HarnessError: no request can be sent there, or there is no response.
        """
        encoded = base64.b64encode(body or b"").decode()
        request = {
            "url": url,
            "body": encoded,
            "headers": dict(headers or {}),
            "seconds": _RESPONSE,
        }
        result = run(
            [*self.python, "-c", _REQUEST_SCRIPT],
            stdin=json.dumps(request) + "\n",
            timeout=2 * _RESPONSE,
            env=self.environment,
            accept=_ANY,
        )
        if result.returncode:
            raise HarnessError(
                f"{self.name}: cannot send a request to {url}: {result.stderr.strip()[-500:]}"
            )
        status, content = json.loads(result.stdout)
        response = Answer(status, base64.b64decode(content))
        if not status:
            raise HarnessError(f"{self.name}: {url} does not answer: {response.body.decode()}")
        return response


def in_pod(kubectl: Kubectl, pod: Value) -> TorchServe:
    """The server in a pod of the chart."""
    name, namespace = text(pod, "metadata", "name"), text(pod, "metadata", "namespace")
    backend = KubectlBackend(
        name, namespace=namespace, container=_CONTAINER, context=kubectl.context
    )
    container = next(
        each for each in items(pod, "spec", "containers") if text(each, "name") == _CONTAINER
    )
    ports = {text(each, "name"): dig(each, "containerPort") for each in items(container, "ports")}
    where = ("-n", namespace, "-c", _CONTAINER, "exec", "-i", name, "--")
    labels = mapping(pod, "metadata", "labels")
    # Pods of a release before groups have no label of their own.
    group = labels.get("torchserve/group") or labels.get("app.kubernetes.io/instance")
    return TorchServe(
        name=name,
        group=str(group or FIRST_GROUP),
        host=_host(backend, kubectl.environment),
        config_file="/etc/torchserve/config.properties",
        files_file="/etc/torchserve/model-files.json",
        launcher=f"http://127.0.0.1:{ports['launcher']}",
        gpus=int(text(container, "resources", "limits", "nvidia.com/gpu") or 0),
        python=(*kubectl.argv, *where, "python"),
        environment=kubectl.environment,
    )


def of_embedded_server(server: Server) -> TorchServe:
    """The embedded server."""
    return TorchServe(
        name="the embedded server",
        group=server.group,
        host=_host(LocalBackend(), {}),
        config_file=str(server.folder / CONFIG),
        files_file=str(server.folder / FILES),
        launcher=server.launcher_url,
        gpus=0,
        python=(str(server.python),),
        environment={},
    )


def _address(written: str) -> Address:
    """An address as the kernel writes it: words of four bytes, the last byte of each first."""
    words = [bytes.fromhex(written[at : at + 8])[::-1] for at in range(0, len(written), 8)]
    if len(words) == 1:
        return IPv4Address(words[0])
    whole = IPv6Address(b"".join(words))
    return whole.ipv4_mapped or whole


def _host(backend: BaseBackend, environment: Mapping[str, str]) -> Host:
    """testinfra waits for a command as long as it takes; through this host it waits for a while."""

    def run_local(line: str, *words: str) -> CommandResult:
        quoted = backend.quote(line, *words)
        seconds = _HASHING if "sha256sum" in quoted else _SECONDS
        result = run(["/bin/sh", "-c", quoted], timeout=seconds, accept=_ANY, env=environment)
        return backend.result(result.returncode, quoted.encode(), result.stdout, result.stderr)

    backend.run_local = run_local
    host = Host(backend)
    backend.set_host(host)
    return host
