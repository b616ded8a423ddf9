"""The clusters that the scenarios share, and the report that they leave."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

from harness.core import files
from harness.core.repository import Repository
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import start
from harness.local_cluster.real.ground import missing
from tests.e2e import lag
from tests.e2e.scenario import Scenario, diagnosis
from tests.e2e.timeline import PLAYED, SIMULATED, Timeline, render
from tests.e2e.two_clusters import TwoClusters
from tests.real.pods import Pods
from tests.support import monitoring

_NOTED = "timeline"
# These begin first, or the last of them keeps one worker when the others have nothing left.
_LONGEST = (
    "test_offline_validation.py",
    "test_two_environments.py",
    "test_render_vs_applied.py",
    "test_bootstrap.py",
)
_LIMIT = 900  # seconds of a scenario and its cluster: two minutes, and more on a slow machine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--e2e", action="store_true", help="run what needs the local cluster")
    parser.addoption("--context", default="", help="a context of KUBECONFIG to run them on")
    parser.addoption("--all", action="store_true", help="every variation, not a few of each kind")
    parser.addoption("--lag", type=float, help="seconds by which controllers are late at random")


def pytest_configure(config: pytest.Config) -> None:
    """Report where the results come together: not in a worker."""
    if config.getoption("--e2e") and not hasattr(config, "workerinput"):
        build = config.rootpath / "build"
        config.add_cleanup(_alone(build / "e2e.lock").close)
        if most := config.getoption("--lag"):
            config.add_cleanup(lag.begin(build / "cluster", most))
        config.pluginmanager.register(Reporter(config))


def _alone(path: Path) -> IO[bytes]:
    """Two runs in one checkout would take each other's clusters down. The lock goes with us."""
    path.parent.mkdir(exist_ok=True)
    lock = path.open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise pytest.UsageError("the scenarios are being run in this checkout already") from None
    return lock


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scenarios run when they are asked for, and are counted as deselected when not."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LIMIT))
    if config.getoption("--e2e", default=False):
        items.sort(key=_place)
    else:
        items[:] = [item for item in items if item not in ours]
        config.hook.pytest_deselected(items=ours)


def _place(item: pytest.Item) -> int:
    return _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST)


@pytest.fixture(scope="session")
def shared(checkout: Repository, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """The shared cluster as the last scenario left it."""
    context = request.config.getoption("--context")
    timeline = Timeline()
    with contextlib.ExitStack() as until:
        with timeline.step("nothing → Ready"):
            name = f"e2e-{worker}" if (worker := os.environ.get("PYTEST_XDIST_WORKER")) else "e2e"
            cluster = until.enter_context(
                local.running(checkout, name, nodes_of="production", context=context)
            )
            scenario = Scenario(cluster, timeline)
            scenario.begin()
        yield scenario


@pytest.fixture
def draft(shared: Scenario) -> Scenario:
    """The shared cluster with that tree on ``main``, for a scenario that commits first of all."""
    shared.bare.restore(shared.base)
    return shared


@pytest.fixture
def scenario(shared: Scenario) -> Scenario:
    """The shared cluster, Ready with the tree that every scenario begins with."""
    shared.reset()
    return shared


@pytest.fixture(scope="session")
def monitored(
    checkout: Repository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LocalCluster, monitoring.Output]]:
    """A control plane with what ships of monitoring, and what the real operator made of it."""
    name = f"monitored-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    folder = tmp_path_factory.mktemp("operator")
    with (
        local.running(checkout, name, "staging", with_flux=False) as cluster,
        monitoring.operated(checkout, cluster, folder, monitoring.RECEIVERS) as output,
    ):
        yield cluster, output


@pytest.fixture(scope="session")
def pods(checkout: Repository) -> Iterator[Pods]:
    """Real pods behind the real gateway, where this machine can have them."""
    if why := missing(checkout):
        pytest.skip(why)
    ground, built = start.prepare(checkout)
    with local.running(checkout, "real", "local", ground=ground) as cluster:
        yield Pods(checkout, cluster, built, start.serve(checkout, cluster, built.digest))


@pytest.fixture
def timeline() -> Timeline:
    """For a scenario that shares no cluster."""
    return Timeline()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Give the report what the scenario noted; it may travel to another process from here."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    scenario = fixtures.get("shared")
    if report.when != "teardown" and report.failed:
        for cluster in _clusters(fixtures):
            report.sections.append((f"what {cluster.name} says", diagnosis(cluster)))
    if report.when == "call":
        noted = fixtures.get("timeline") or (scenario.timeline if scenario else Timeline())
        report.user_properties.append((_NOTED, (dict(noted.figures), dict(noted.load))))
        noted.figures.clear()
        noted.load.clear()
    return report


def _clusters(fixtures: Mapping[str, object]) -> Iterator[LocalCluster]:
    """The clusters that a scenario was given."""
    for each in fixtures.values():
        if isinstance(each, LocalCluster):
            yield each
        elif isinstance(each, Scenario):
            yield each.cluster
            return  # `scenario` and `shared` are the same
        elif isinstance(each, TwoClusters):
            yield from (each.staging, each.production)


def _why_skipped(report: pytest.TestReport) -> str:
    place = report.longrepr
    return place[2].removeprefix("Skipped: ") if isinstance(place, tuple) else str(place)


class Reporter:
    """Says how each scenario went, and leaves build/e2e/report.json and report.html."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._results: list[dict[str, object]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ended = report.when == "call" or report.failed or report.skipped
        if "tests/e2e/" not in report.nodeid or not ended:
            return
        noted = Timeline(*dict(report.user_properties).get(_NOTED, ()))
        file, _, test = report.nodeid.rpartition("/")[2].partition("::")
        scenario = f"{file.removeprefix('test_').removesuffix('.py')}: {test.removeprefix('test_')}"
        self._results.append(
            {
                "scenario": scenario,
                "passed": report.passed,
                **({"not_run": _why_skipped(report)} if report.skipped else {}),
                "seconds": round(report.duration, 2),
                "simulated": PLAYED if file.startswith("test_real") else SIMULATED,
                **noted.load,
                "figures": noted.figures,
            }
        )
        if reporter := self._config.pluginmanager.get_plugin("terminalreporter"):
            details = f"\n{'':11}{noted}" if str(noted) else ""
            sign = "✓" if report.passed else "–" if report.skipped else "✗"
            details += f"\n{'':11}not run: {_why_skipped(report)}" if report.skipped else ""
            reporter.write_line(
                f"{sign} {report.duration:6.1f} s {scenario.replace('_', ' ')}{details}"
            )

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot: its line says that it passed."""
        return ("passed", "", "") if report.passed and report.when == "call" else None

    def pytest_sessionfinish(self) -> None:
        if self._results:
            # Workers take turns; whoever reads it wants a file's scenarios together.
            self._results.sort(key=lambda each: str(each["scenario"]).partition(":")[0])
            folder = self._config.rootpath / "build" / "e2e"
            text = json.dumps(self._results, indent=2, ensure_ascii=False)
            files.write(folder / "report.json", text + "\n")
            files.write(folder / "report.html", render(self._results))
