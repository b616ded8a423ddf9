"""Whole runs against a real server on a real socket."""

import json
import re
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness import loadtest
from harness.core.errors import HarnessError, InputError, UsageError
from harness.loadtest import Report, ServingGroup, Target, html
from harness.loadtest.report import remarks
from harness.loadtest.scrape import ModelPoint, Point, Server
from harness.loadtest.swarm import Workers
from harness.loadtest.terminal import text as text_of
from tests.loadtest import stub_server
from tests.loadtest.cases import profile

# For runs on a machine that does other things too: what is tested is not how fast it is.
LENIENT = {"lateness": 500, "drift": 100, "generatorCpu": 1}


def request(name: str, path: str, **keys: object) -> dict[str, object]:
    return {"request": {"name": name, "path": path, **keys}}


@pytest.fixture(scope="module")
def mixed_run(stub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A run with every outcome that a request can have, and its folder."""
    load = profile(
        mix=[
            request("right", "/ok", contains="true"),
            request("wrong", "/ok", contains="false"),
            request("<script>alert(1)</script>", "/status/503"),
            request("expected", "/status/404", status=404),
            request("silent", "/close"),
            request("hung", "/hang"),
            request("posted", "/predictions/m", method="POST", contains=""),
            request("asked", "/ok", method="HEAD"),
        ],
        timeout=1,
        stages=[
            {"kind": "ramp", "seconds": 1, "from": 0, "to": 100},
            {"kind": "hold", "seconds": 2, "rate": 100},
        ],
        slos=[{"of": "right", "latency": {"p50": 1000}}],
        judge=LENIENT,
    )
    out = tmp_path_factory.mktemp("mixed")
    return loadtest.run(load, Target(stub), {}, out), out


def test_every_response_is_checked_and_failures_are_grouped(mixed_run: tuple[Report, Path]) -> None:
    report, _ = mixed_run
    groups = {group.name: group for group in report.failure_groups}
    assert groups.keys() == {"wrong", "<script>alert(1)</script>", "silent", "hung"}
    assert groups["wrong"].wrong_answer
    assert groups["wrong"].example == "does not contain 'false' · {\"ok\": true}"
    assert groups["<script>alert(1)</script>"].kind == "HTTP 503 Busy"
    assert groups["silent"].kind == "connection reset"
    assert groups["hung"].kind == "timeout"
    assert report.requests == sum(part.requests for part in report.mix) > 100
    assert report.failures == sum(part.failures for part in report.mix)
    assert sum(stage.failures for stage in report.stages) == sum(g.count for g in groups.values())
    assert report.wrong_answers == report.mix[1].failures > 0
    assert report.verdict == "fail"


def test_the_three_files_agree(mixed_run: tuple[Report, Path]) -> None:
    report, out = mixed_run
    assert Report.read(out / "report.json") == report
    suite = ElementTree.fromstring((out / "report.junit.xml").read_text())  # noqa: S314 - our own
    assert int(suite.get("tests", 0)) == len(report.slo) + len(report.checks)
    assert suite.get("failures") == "1"
    assert "the server missed a limit" in (out / "report.html").read_text()


def test_the_page_refers_to_nothing_outside_itself(mixed_run: tuple[Report, Path]) -> None:
    page = (mixed_run[1] / "report.html").read_text()
    assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b", page)
    assert not re.search(r"\b(src|href|xlink:href|action)\s*=", page)
    assert not re.search(r"@import|url\(", page)


def test_report_keys_are_the_public_interface(mixed_run: tuple[Report, Path]) -> None:
    keys = json.loads((mixed_run[1] / "report.json").read_text())
    assert keys["schema_version"] == 1
    public = """target embedded profile release offered_rps achieved_rps requests failures
        wrong_answers dropped latency_ms service_ms lateness_ms server slo confidence verdict"""
    assert set(public.split()) <= keys.keys()
    assert list(keys["latency_ms"]) == ["p50", "p90", "p95", "p99", "p99_9", "max"]
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    assert [key for key in keys if f"`{key}`" not in page] == []


@pytest.mark.parametrize(("libraries", "reported"), [(0, True), (40, False), (None, False)])
def test_a_server_that_runs_its_own_java_libraries_is_named_wherever_figures_stand(
    mixed_run: tuple[Report, Path], libraries: int | None, reported: bool
) -> None:
    server = Server(
        pods=["a"],
        scrapes=1,
        missed=0,
        models={},
        http_5xx=0,
        restarts=0,
        pinned_java_libraries=libraries,
        gpu_util=None,
        gpu_memory=None,
        timeline=[],
    )
    report = mixed_run[0].model_copy(update={"server": server})
    remark = "TorchServe ran the Java libraries in its own JAR"
    for text in (text_of(report, mixed_run[1]), html.render(report)):
        assert (remark in text) is reported


def test_a_soak_says_what_the_workers_held_as_it_began_and_ended(
    mixed_run: tuple[Report, Path],
) -> None:
    memory = {0.5: 90.0, 1.0: 100.0, 1.5: None, 2.0: 512.0, 3.5: 600.0}
    timeline = [
        Point(t=t, models={"m": ModelPoint(worker_memory=amount), "n": ModelPoint()})
        for t, amount in memory.items()
    ]
    soak = mixed_run[0].stages[1].model_copy(update={"kind": "soak", "start": 1, "seconds": 2})
    keys = {"pods": ["a"], "scrapes": 5, "missed": 0, "models": {}, "http_5xx": 0, "restarts": 0}
    server = Server.model_validate({**keys, "gpu_util": None, "gpu_memory": None, "timeline": []})
    server.timeline = timeline
    report = mixed_run[0].model_copy(update={"server": server, "stages": [soak]})
    lines = [line for line in remarks(report) if "held" in line]
    assert lines == ["workers of m held 100 MiB at the soak's beginning, 512 at its end"]
    assert lines[0].replace("'", "&#x27;") in html.render(report)


def test_the_secret_is_sent_and_never_written_down(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-the-secret")
    load = profile(
        mix=[
            request("authorized", "/echo", contains="Authorization: Bearer hunter2-the-secret"),
            request("echoed", "/echo", contains="what no header holds"),
        ],
        auth={"env": "TOKEN"},
        judge=LENIENT,
    )
    # The profile itself says what is expected, so the secret is looked for without that name.
    report = loadtest.run(load, Target(stub), {}, tmp_path)
    authorized, echoed = report.mix
    assert authorized.failures == 0
    assert echoed.failures == echoed.requests > 0
    assert "Bearer •••" in report.failure_groups[0].example


def test_no_output_holds_the_secret(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2-the-secret\n")
    load = profile(
        mix=[request("echoed", "/echo", contains="nothing")],
        auth={"header": "X-Api-Key", "prefix": "", "file": str(key)},
    )
    out = tmp_path / "out"
    report = loadtest.run(load, Target(stub), {}, out)
    assert "X-Api-Key: •••" in report.failure_groups[0].example
    for path in out.iterdir():
        assert b"hunter2" not in path.read_bytes(), path.name


def test_a_full_pool_drops_and_reports_it(stub: str, tmp_path: Path) -> None:
    load = profile(
        mix=[request("slow", "/slow/0.5")],
        maxInFlight=5,
        stages=[{"kind": "hold", "seconds": 2, "rate": 50}],
        judge=LENIENT,
    )
    report = loadtest.run(load, Target(stub), {}, tmp_path)
    assert report.verdict == "invalid"
    assert report.dropped > 50
    assert report.requests + report.dropped == sum(
        m.names["slow"].due for m in report.timeline if "slow" in m.names
    )


def test_two_processes_send_what_one_would(stub: str, tmp_path: Path) -> None:
    load = profile(
        arrivals="constant",
        stages=[{"kind": "hold", "seconds": 3, "rate": 100}],
        judge=LENIENT,
    )
    report = loadtest.run(load, Target(stub), {}, tmp_path, workers=Workers(processes=2))
    assert (report.requests, report.failures, report.verdict) == (300, 0, "pass")
    assert report.generator.processes == 2


def test_closed_loop_sends_as_fast_as_responses_arrive(stub: str, tmp_path: Path) -> None:
    load = profile(
        arrivals="closed",
        mix=[request("slow", "/slow/0.1")],
        stages=[{"kind": "hold", "seconds": 3, "users": 4}],
        judge=LENIENT,
    )
    report = loadtest.run(load, Target(stub), {}, tmp_path)
    assert report.generator.in_flight_max <= 4
    assert 60 < report.requests <= 120
    assert report.latency_ms.p50 == pytest.approx(report.service_ms.p50, abs=1)


def test_a_wait_before_sending_counts_in_the_latency(tmp_path: Path) -> None:
    """Ten users' worth of connections cannot hide what an open loop waits for."""
    load = profile(
        arrivals="constant",
        stages=[{"kind": "hold", "seconds": 4, "rate": 100}],
        judge=LENIENT,
    )
    with stub_server.running("--stall-every", "2", "--stall", "1") as url:
        report = loadtest.run(load, Target(url), {}, tmp_path)
    assert report.latency_ms.p90 == pytest.approx(800, rel=0.1)


def test_each_group_gets_its_models_requests_and_is_named(stub: str, tmp_path: Path) -> None:
    load = profile(
        mix=[
            request("first", "/predictions/a", body="1", contains="1"),
            request("second", "/v1/models/b:predict", body="2", contains="true"),
            request("nobody's", "/count"),
        ],
        stages=[{"kind": "hold", "seconds": 1, "rate": 60}],
        slos=[{"errorRate": 0}],
        judge=LENIENT,
    )
    with stub_server.running() as other:
        groups = (
            ServingGroup("torchserve", frozenset("a"), url=stub),
            ServingGroup("speech", frozenset("b"), url=other),
        )
        before = count(stub), count(other)
        report = loadtest.run(load, Target(stub, groups=groups), {}, tmp_path)
        got = count(stub) - before[0], count(other) - before[1]
    assert report.failures == 0
    first, second, none = report.mix
    assert got == (first.requests + none.requests + 1, second.requests + 1)
    assert [(part.model, part.group) for part in report.mix] == [
        ("a", "torchserve"),
        ("b", "speech"),
        (None, None),
    ]
    assert report.target.servers == {"torchserve": stub, "speech": other}
    line = "2 groups: speech (second), torchserve (first)"
    assert line in text_of(report, tmp_path)
    assert line in (tmp_path / "report.html").read_text()


def count(url: str) -> int:
    """How many requests a stub server has had, this one included."""
    with urllib.request.urlopen(f"{url}/count", timeout=5) as reply:
        return int(reply.read())


def test_refused_connection_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    load = profile(stages=[{"kind": "hold", "seconds": 1, "rate": 50}], judge=LENIENT)
    report = loadtest.run(load, Target("http://127.0.0.1:1"), {}, tmp_path)
    assert report.verdict == "fail"
    assert [group.kind for group in report.failure_groups] == ["connection refused"]


def test_a_missing_secret_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="NO_SUCH_TOKEN holds no secret"):
        loadtest.run(
            profile(auth={"env": "NO_SUCH_TOKEN"}), Target("http://127.0.0.1:1"), {}, tmp_path
        )


def test_a_model_that_was_not_built_is_named(tmp_path: Path) -> None:
    load = profile(mix=[{"model": "resnet"}])
    with pytest.raises(InputError, match="resnet: no prepared request"):
        loadtest.run(load, Target("http://127.0.0.1:1"), {}, tmp_path)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host/", "http://user:word@host/"])
def test_malformed_target_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Target(url)


def test_an_unwritable_folder_is_one_clear_line(stub: str, unwritable: Path) -> None:
    with pytest.raises(HarnessError, match="cannot write"):
        loadtest.run(profile(), Target(stub), {}, unwritable)
