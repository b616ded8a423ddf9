"""Each check passes where all is well, and is the one that fails on the fault it is there for."""

import contextlib
import copy
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.models import samples
from tests.smoke.conftest import POD, Installation, finish_probe

pytestmark = pytest.mark.torchserve


def test_all_is_well_and_every_check_has_a_fault(installation: Installation) -> None:
    report = installation.check()
    assert [f"{each.name}: {each.why}" for each in report.tests if each.outcome != "passed"] == []
    assert report.verdict == "pass"
    assert [each.name for each in report.tests] == list(FAULTS)


Fault = Callable[[Installation], object]
FAULTS: dict[str, tuple[Fault, str, str, str]] = {}


def fault(file: str, name: str, why: str, then: str) -> Callable[[Fault], Fault]:
    """A fault, the check of a file that has to fail on it, what it says, and what to type."""

    def add(plant: Fault) -> Fault:
        FAULTS[name] = (plant, file, why, then)
        return plant

    return add


@fault(
    "cluster",
    "Flux has applied the release and everything is ready",
    "HelmRelease/torchserve: timed out",
    "harness status --env staging",
)
def release_failed(at: Installation) -> None:
    status = at.state.one("HelmRelease", "torchserve")["status"]
    status["conditions"] = [{"type": "Ready", "status": "False", "message": "timed out"}]


@fault("cluster", "every node is ready", "gpu-0: KubeletNotReady: no CNI", "describe node gpu-0")
def node_not_ready(at: Installation) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "KubeletNotReady"}
    at.state.one("Node", "gpu-0")["status"]["conditions"] = [{**condition, "message": "no CNI"}]


@fault(
    "cluster",
    "the snapshot in the cluster is that of Git",
    "config.properties is not what commit 0123456789ab makes it",
    "harness snapshot check --env staging",
)
def settings_were_edited(at: Installation) -> None:
    template = at.state.one("Deployment", "torchserve")["spec"]["template"]
    carried, key = template["metadata"]["annotations"], "torchserve/config.properties"
    carried[key] = carried[key].replace("job_queue_size=10", "job_queue_size=11")


@fault(
    "cluster",
    "the disruption budget allows a drain",
    "it allows 0 disruptions",
    "describe poddisruptionbudget torchserve",
)
def budget_allows_nothing(at: Installation) -> None:
    at.state.one("PodDisruptionBudget", "torchserve")["status"]["disruptionsAllowed"] = 0


def restart(at: Installation, times: int) -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    container = {"name": "torchserve", "restartCount": times, "lastState": last}
    at.state.one("Pod", POD)["status"]["containerStatuses"] = [container]


@fault(
    "cluster",
    "servers keep running",
    f"{POD} restarted 4 times, last: OOMKilled, exit 137; more than 3 are a crash loop",
    "logs deploy/torchserve --previous",
)
def server_restarts_again_and_again(at: Installation) -> None:
    restart(at, 4)


@fault(
    "gpu", "nodes offer their GPUs", "gpu-0: no nvidia.com/gpu is allocatable", "describe nodes -l"
)
def node_without_gpu(at: Installation) -> None:
    at.state.one("Node", "gpu-0")["status"]["allocatable"] = {"cpu": "4"}


@fault(
    "gpu",
    "the device plugin is healthy",
    "DaemonSet nvidia/nvidia-device-plugin: numberReady 0 of 1",
    "-n nvidia get pods",
)
def plugin_crashes(at: Installation) -> None:
    at.state.one("DaemonSet", "nvidia-device-plugin")["status"]["numberReady"] = 0


@fault("gpu", "each pod sees its GPUs", "sees 0 GPUs of 1", "-- nvidia-smi")
def driver_sees_nothing(at: Installation) -> None:
    at.edit("bin/nvidia-smi", "GPU 0: NVIDIA A10G (UUID: GPU-0f3a)", "No devices found.")


@fault(
    "store",
    "the store is mounted read only and over TLS",
    "can be written",
    "logs -l app=efs-csi-node",
)
def store_is_writable(at: Installation) -> None:
    at.edit("proc/mounts", " ro,", " rw,")


@fault(
    "store",
    "the archives have their checksums",
    "gated.mar has sha256",
    "reconcile.fluxcd.io/forceAt=",
)
def archive_was_replaced(at: Installation) -> None:
    (at.pod / "store" / "gated.mar").write_bytes(b"other weights")


@fault(
    "serving", "TorchServe is the pinned version", "runs TorchServe 0.12.0, not 0.11.1", "pip show"
)
@contextlib.contextmanager
def other_version(at: Installation) -> Iterator[None]:
    pins = at.served.checkout.root / "apps/torchserve/image/requirements.txt"
    with changed(pins, "torchserve==0.12.0", "torchserve==0.11.1"):
        yield


@fault(
    "serving", "every worker is ready", "gated has 0 of 1 workers READY", "logs deploy/torchserve"
)
@contextlib.contextmanager
def worker_is_loading(at: Installation) -> Iterator[None]:
    management = at.served.config["management_address"]
    with telling_otherwise(management, b'"READY"', b'"UNLOADING"') as address:
        at.redirect("http://127.0.0.1:8081", address)
        yield


@fault("serving", "the servers run the snapshot of Git", "job_queue_size is '11'", "snapshot check")
def pod_has_not_been_rolled(at: Installation) -> None:
    at.edit("etc/config.properties", "job_queue_size=10", "job_queue_size=11")


@fault(
    "serving",
    "each model gives the correct answer",
    "ok: true, not false",
    "logs deploy/torchserve",
)
@contextlib.contextmanager
def wrong_answer(at: Installation) -> Iterator[None]:
    sample = samples.folder(at.served.checkout, "gated", "1.0") / "ask.json"
    with changed(sample, '"ok": true', '"ok": false'):
        yield


@fault(
    "serving", "metrics are served", "has no metrics of gated 1.0", "curl 127.0.0.1:8090/metrics"
)
def another_server_has_the_port(at: Installation) -> None:
    at.redirect("http://127.0.0.1:8090", f"{at.served.server.inference_url}/ping?")


@fault(
    "network",
    "management listens on the loopback only",
    "management (port 8081) is open on ::",
    "-- cat /proc/net/tcp",
)
def management_is_open(at: Installation) -> None:
    at.edit("proc/net/tcp6", "0000000000000000FFFF00000100007F:1F91", f"{'0' * 32}:1F91")


@fault(
    "network",
    "management is unreachable from another pod",
    f"another pod reaches management of {POD} (10.0.7.7:8081)",
    "grep address /etc/torchserve/config.properties",
)
def management_is_reached(at: Installation) -> None:
    at.state.ran = lambda pod: finish_probe(pod, [True, True] + [False] * 5)


@fault(
    "network",
    "other pods cannot go around the gateway",
    f"another pod reaches inference of {POD} (10.0.7.7:8080)",
    "describe networkpolicy torchserve",
)
def policies_are_not_enforced(at: Installation) -> None:
    at.state.ran = lambda pod: finish_probe(pod, [True] + [False] * 3 + [True] + [False] * 2)


@fault(
    "network",
    "the gateway refuses who has no credentials",
    "answers 200 to no token, not 401",
    "describe securitypolicy torchserve",
)
def gateway_is_open(at: Installation) -> None:
    at.gateway["status"] = 200


@fault(
    "network",
    "the gateway accepts every route",
    "HTTPRoute/torchserve/torchserve is not Accepted: NoMatchingParent: no listener",
    "get httproutes,grpcroutes",
)
def route_is_refused(at: Installation) -> None:
    route = at.state.one("HTTPRoute", "torchserve")
    refused = {"status": "False", "reason": "NoMatchingParent", "message": "no listener"}
    route["status"]["parents"][0]["conditions"][0] |= refused


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_its_check_and_no_other(installation: Installation, name: str) -> None:
    plant, file, why, then = FAULTS[name]
    with contextlib.ExitStack() as until:
        planted = plant(installation)
        if isinstance(planted, contextlib.AbstractContextManager):
            until.enter_context(planted)
        report = installation.check(file)
    failed = [each for each in report.tests if each.outcome == "failed"]
    assert [each.name for each in failed] == [name]
    assert why in failed[0].why
    assert then in failed[0].next
    assert report.verdict == "fail"


def test_a_server_that_restarted_a_few_times_passes_with_a_note(installation: Installation) -> None:
    restart(installation, 2)
    report = installation.check("cluster")
    notes = [each.why for each in report.tests if each.name == "servers keep running"]
    assert notes == [f"{POD} restarted 2 times, last: OOMKilled, exit 137"]
    assert report.verdict == "pass"


@contextlib.contextmanager
def changed(path: Path, old: str, new: str) -> Iterator[None]:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


@contextlib.contextmanager
def telling_otherwise(url: str, old: bytes, new: bytes) -> Iterator[str]:
    """A server that passes on what ``url`` says, with something else in it; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(f"{url}{self.path}", timeout=60) as reply:
                body = reply.read()
            assert old in body
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.replace(old, new))

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()


def test_a_group_without_servers_fails(installation: Installation) -> None:
    another = copy.deepcopy(installation.rendered[0])
    another["metadata"]["name"] = "speech"
    installation.rendered.append(another)
    whys = {each.name: each.why for each in installation.check("cluster", "store").tests}
    missing = "there is no Deployment torchserve/speech"
    assert missing in whys["the snapshot in the cluster is that of Git"]
    assert "no server of speech runs" in whys["the archives have their checksums"]


def test_a_server_of_a_group_that_git_does_not_have_fails(installation: Installation) -> None:
    installation.state.one("Pod", POD)["metadata"]["labels"]["torchserve/group"] = "old"
    whys = {each.name: each.why for each in installation.check("store").tests}
    assert "no server of torchserve runs" in whys["the archives have their checksums"]
