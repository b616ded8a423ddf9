"""The real TorchServe under load, over both of its protocols."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import embedded_server, loadtest
from harness.core.repository import Repository
from harness.embedded_server import Server
from harness.loadtest import Target
from harness.models import build
from harness.models.lock import Lock
from harness.models.samples import load_samples
from tests.loadtest.cases import profile

pytestmark = pytest.mark.torchserve

LOAD = {
    "mix": [
        {"model": "squeezenet1_1", "weight": 4},
        *({"model": name} for name in ("magika", "mtcnn", "silero_vad")),
    ],
    "stages": [{"kind": "hold", "seconds": 6, "rate": 7}],
    "timeout": 30,
    "judge": {"lateness": 1000, "drift": 100, "generatorCpu": 1},
}


@pytest.fixture(scope="module")
def built(checkout: Repository) -> Lock:
    return build.build(checkout)


@pytest.fixture(scope="module")
def served(checkout: Repository, built: Lock) -> Iterator[Server]:
    with embedded_server.running(checkout, env="local") as running:
        yield running


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_model_answers_rightly_under_load(
    protocol: str, checkout: Repository, built: Lock, served: Server, tmp_path: Path
) -> None:
    url = served.inference_url if protocol == "rest" else f"http://{served.grpc_address}"
    target = Target(url, launcher_urls=(served.launcher_url,), embedded=True)
    samples = load_samples(checkout, built)
    report = loadtest.run(profile(protocol=protocol, **LOAD), target, samples, tmp_path)
    assert report.failure_groups == []
    assert (report.verdict, report.embedded, report.release) == ("pass", True, None)
    assert all(part.requests for part in report.mix)
    assert report.server
    for model in report.server.models.values():
        assert model.arrivals > 0
        # TorchServe's own times are of REST requests only; the launcher's are of both protocols.
        assert model.queue_ms is not None
        assert model.inference_ms is not None
        assert model.queue_depth is not None
        assert model.batch_fill is None or model.batch_fill > 0
