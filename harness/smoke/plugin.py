"""The pytest plugin of the suite: what the checks are given, which apply, and how they ended."""

from collections.abc import Generator, Mapping

import pytest

from harness.core import console
from harness.core.errors import HarnessError
from harness.smoke import check
from harness.smoke.expected import Expected
from harness.smoke.report import Outcome, Result
from harness.smoke.target import Cluster, Target
from harness.smoke.torchserve import TorchServe

_WHY = 1_500  # characters of a reason: enough for a difference, short enough for a screen
_SIGN: dict[Outcome, str] = {"passed": "✓", "failed": "✗", "not applicable": "–"}


class Plugin:
    """Gives the checks their target, leaves out those that do not apply, keeps the results."""

    def __init__(self, target: Target) -> None:
        self.broken = ""
        self._target = target
        self._results: dict[str, Result] = {}

    @property
    def results(self) -> list[Result]:
        """In the order of the suite."""
        return list(self._results.values())

    @pytest.fixture(scope="session")
    def target(self) -> Target:
        return self._target

    @pytest.fixture(scope="session")
    def cluster(self) -> Cluster:
        """The cluster that ``Need.CLUSTER`` asks for."""
        if self._target.cluster is None:
            raise LookupError("a check that looks at the cluster has to need it")
        return self._target.cluster

    @pytest.fixture(scope="session")
    def servers(self) -> list[TorchServe]:
        """Every server that runs; there has to be one of each group."""
        servers = self._target.servers()
        running, expect = {server.group for server in servers}, self._target.expect()
        if missing := sorted(expect.keys() - running):
            raise HarnessError(f"no server of {', '.join(missing)} runs")
        if unknown := sorted(running - expect.keys()):
            names = ", ".join(expect)
            raise HarnessError(f"a server of group {', '.join(unknown)} runs; Git has {names}")
        return servers

    @pytest.fixture(scope="session")
    def expect(self) -> Mapping[str, Expected]:
        return self._target.expect()

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", f"{check.MARK}(Check): what it needs, what is next")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken = str(report.longrepr)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Name what does not apply, and do not run it."""
        try:
            missing = {item.nodeid: self._target.missing(check.of(item)) for item in items}
        except LookupError as error:
            self.broken, items[:] = str(error), []
            return
        for item in items:
            why = missing[item.nodeid]
            self._results[item.nodeid] = Result(
                name=check.name(item.name),
                outcome="not applicable" if why else "failed",
                seconds=0,
                why=why or "it was never run",
            )
        items[:] = [item for item in items if not missing[item.nodeid]]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" or call.excinfo:
            result = self._result(item, call)
            self._results[item.nodeid] = result
            console.note(f"{_SIGN[result.outcome]} {result.name} ({result.seconds:.1f} s)")
        return report

    def _result(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Result:
        name, seconds = check.name(item.name), round(call.duration, 2)
        if call.excinfo is None:
            notes = [str(text) for key, text in item.user_properties if key == "note"]
            return Result(name=name, outcome="passed", seconds=seconds, why="; ".join(notes))
        why, hint = _reason(call.excinfo.value)
        following = hint or self._target.then(check.of(item), why)
        return Result(name=name, outcome="failed", seconds=seconds, why=why, next=following)


def _reason(error: BaseException) -> tuple[str, str]:
    """Why a check failed, and what to do if the error itself knows."""
    if isinstance(error, HarnessError):
        where = f"{error.at}: " if error.at else ""
        return f"{where}{error.message}"[:_WHY], error.hint
    if isinstance(error, AssertionError):
        return str(error)[:_WHY], ""
    if isinstance(error, pytest.skip.Exception):
        return f"it skipped itself ({error}): only its target decides whether a check applies", ""
    return f"{type(error).__name__}: {error}"[:_WHY], ""
