"""The clusters that the scenarios share, and the report that they leave."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import local
from harness.core import files
from harness.core.repository import Repository
from tests.e2e.lab import Lab

_SIMULATED = "pods run no containers: exec, init containers, probes and images are kwok's word"
_results: list[dict[str, object]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--e2e", action="store_true", help="run what needs the local cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scenarios run when they are asked for, and are counted as deselected when not."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
    if not config.getoption("--e2e", default=False):
        items[:] = [item for item in items if item not in ours]
        config.hook.pytest_deselected(items=ours)


@pytest.fixture(scope="session")
def shared(checkout: Repository, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The shared cluster as the last scenario left it."""
    began = time.monotonic()
    with local.running(checkout, "e2e", nodes_of="production") as cluster:
        lab = Lab(cluster)
        lab.begin()
        _say(request.config, f"nothing → Ready in {time.monotonic() - began:.1f} s")
        yield lab


@pytest.fixture
def draft(shared: Lab) -> Lab:
    """The shared cluster with that tree on ``main``, for a scenario that commits first of all."""
    shared.bare.restore(shared.base)
    return shared


@pytest.fixture
def lab(shared: Lab) -> Lab:
    """The shared cluster, Ready with the tree that every scenario begins with."""
    shared.reset()
    return shared


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    lab = getattr(item, "funcargs", {}).get("shared")
    if report.when == "call" and report.failed and lab is not None:
        report.sections.append(("what the cluster says", lab.diagnosis()))
    if report.when == "call" or report.failed:
        _results.append(_result(item, report, lab))
    return report


def _result(item: pytest.Item, report: pytest.TestReport, lab: Lab | None) -> dict[str, object]:
    notes = dict(lab.notes) if lab else {}
    if lab:
        lab.notes.clear()
    said = ", ".join(f"{name} {value}" for name, value in notes.items())
    _say(item.config, f"{report.duration:.1f} s{': ' + said if said else ''}")
    return {
        "scenario": f"{item.path.stem.removeprefix('test_')}: {item.name.removeprefix('test_')}",
        "passed": report.passed,
        "seconds": round(report.duration, 2),
        "simulated": _SIMULATED,
        "figures": notes,
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _results:
        path = session.config.rootpath / "build" / "e2e" / "report.json"
        files.write(path, json.dumps(_results, indent=2, ensure_ascii=False) + "\n")


def _say(config: pytest.Config, line: str) -> None:
    """A line of the terminal, whatever is being captured."""
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        reporter.write_line(f"  {line}")
