"""Which checks apply is decided by what the target is; no failure can call itself inapplicable."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError, Location
from harness.core.repository import Repository
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.smoke import check, expected, run, target
from harness.smoke.check import Check, Need
from harness.smoke.plugin import Plugin
from harness.smoke.target import Target

# check → where it is real: c(luster), l(ocal cluster), e(mbedded server). Written out here, so
# that one that stops to apply somewhere is seen.
REAL = {
    "Flux has applied the release and everything is ready": "cl",
    "every node is ready": "cl",
    "the snapshot in the cluster is that of Git": "cl",
    "the disruption budget allows a drain": "cl",
    "servers keep running": "c",
    "nodes offer their GPUs": "c",
    "the device plugin is healthy": "c",
    "each pod sees its GPUs": "c",
    "the store is mounted read only and over TLS": "c",
    "the archives have their checksums": "ce",
    "TorchServe is the pinned version": "ce",
    "every worker is ready": "ce",
    "the servers run the snapshot of Git": "ce",
    "each model gives the correct answer": "ce",
    "metrics are served": "ce",
    "management listens on the loopback only": "ce",
    "management is unreachable from another pod": "c",
    "other pods cannot go around the gateway": "c",
    "the gateway refuses who has no credentials": "c",
    "the gateway accepts every route": "c",
}
LACKS = {"c": {}, "l": target._LACKS_LOCAL, "e": target._LACKS_EMBEDDED}


@pytest.fixture(scope="module")
def checks() -> dict[str, Check]:
    """The checks of the suite by name, as pytest collects them."""
    by_name: dict[str, Check] = {}

    class Collector:
        def pytest_configure(self, config: pytest.Config) -> None:
            config.addinivalue_line("markers", "check(Check): as the suite's own plugin says")

        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            by_name.update({check.name(item.name): check.of(item) for item in items})

    files = [str(run.SUITE / f"test_{name}.py") for name in run.FILES]
    pytest.main([*run._ALONE, "--collect-only", *files], plugins=[Collector()])
    return by_name


def unreal(lacks: dict[Need, str], folder: Path) -> Target:
    """A target of which only matters what it lacks."""

    def nothing() -> list[object]:
        raise AssertionError("nobody may look at it")

    words = {"env": "staging", "folder": str(folder)}
    return Target("staging", "x", Repository(folder), lacks, None, nothing, nothing, words)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", LACKS)
def test_every_check_applies_where_it_is_real(
    checks: dict[str, Check], kind: str, tmp_path: Path
) -> None:
    unreal_target = unreal(LACKS[kind], tmp_path)
    applies = {name for name, each in checks.items() if not unreal_target.missing(each)}
    assert applies == {name for name, kinds in REAL.items() if kind in kinds}


def test_the_suite_has_no_other_checks(checks: dict[str, Check]) -> None:
    assert list(checks) == list(REAL)
    assert {path.stem for path in run.SUITE.glob("test_*.py")} == {f"test_{n}" for n in run.FILES}


@pytest.mark.parametrize(
    ("env", "lacks"),
    [
        ("staging", set()),
        ("production", set()),
        ("local", {Need.GPU, Need.EFS, Need.GATEWAY}),
    ],
)
def test_what_an_environment_lacks_is_said_by_git(
    checkout: Repository, env: str, lacks: set[Need]
) -> None:
    rendered = Renderer(checkout).candidate(env)
    assert set(target.lacks_by_git(rendered)) == lacks


def outcome(source: str, tmp_path: Path, lacks: dict[Need, str] | None = None) -> Plugin:
    """Run a suite of one's own through the plugin."""
    file = tmp_path / "test_own.py"
    head = "import pytest\nfrom harness.smoke.check import Need, check\n"
    file.write_text(head + source)
    plugin = Plugin(unreal(lacks or {}, tmp_path))
    pytest.main([*run._ALONE, str(file)], plugins=[plugin])
    return plugin


def test_a_check_that_skips_itself_has_failed(tmp_path: Path) -> None:
    source = '@check(Need.POD, then="look")\ndef test_it() -> None:\n    pytest.skip("no time")\n'
    [result] = outcome(source, tmp_path).results
    assert result.outcome == "failed"
    assert "skipped itself (no time)" in result.why


def test_a_check_that_expects_to_fail_has_failed(tmp_path: Path) -> None:
    source = (
        '@pytest.mark.xfail(strict=False)\n@check(Need.POD, then="look")\n'
        "def test_it() -> None:\n    assert False\n"
    )
    [result] = outcome(source, tmp_path).results
    assert result.outcome == "failed"


def test_what_does_not_apply_is_not_run_and_says_why(tmp_path: Path) -> None:
    source = '@check(Need.POD, then="look")\ndef test_it() -> None:\n    assert False\n'
    [result] = outcome(source, tmp_path, {Need.POD: "there is no pod"}).results
    assert (result.outcome, result.why) == ("not applicable", "there is no pod")


def test_a_check_that_does_not_say_when_it_applies_breaks_the_suite(tmp_path: Path) -> None:
    assert "has no @check" in outcome("def test_it() -> None: ...\n", tmp_path).broken


def test_next_commands_need_no_words_that_a_target_does_not_have(
    checks: dict[str, Check], tmp_path: Path
) -> None:
    for each in checks.values():
        assert each.then.format(
            kubectl="kubectl", env="staging", at="--env staging", group="speech"
        )
        assert unreal({}, tmp_path).then(each)


@pytest.mark.parametrize(
    ("reason", "group"),
    [
        ("torchserve-6d5f-x2 restarted 4 times", "torchserve"),
        ("speech-6d5f-x2: HTTP 503", "speech"),
        ("another pod reaches speech-6d5f-x2, 8081 (management)", "speech"),
        ("speech-long: it allows 0 disruptions", "speech-long"),
        ("no server runs", "torchserve"),
        ("torchserve/speech-other: nothing", "torchserve"),
    ],
)
def test_the_next_command_is_for_the_group_that_failed(
    tmp_path: Path, reason: str, group: str
) -> None:
    groups: dict[str, Any] = dict.fromkeys(("torchserve", "speech", "speech-long"))
    cluster: Any = object()
    several = replace(unreal({}, tmp_path), cluster=cluster, expect=lambda: groups)
    assert several.then(Check((), "logs deploy/{group}", ""), reason) == f"logs deploy/{group}"


def test_the_page_lists_every_check_and_its_next_command(
    checkout: Repository, checks: dict[str, Check]
) -> None:
    page = (checkout.root / "docs" / "smoke.md").read_text()
    row = r"^\| ([^|]+) \| ([●–]) \| ([●–]) \| ([●–]) \| `([^`]+)` \|$"
    listed = re.findall(row, page, re.MULTILINE)
    words = {"kubectl": "kubectl", "env": "ENV", "at": "--env ENV", "group": "GROUP"}
    expected = [
        (
            name,
            *("●" if kind in REAL[name] else "–" for kind in "cle"),
            each.then.format_map(words),
        )
        for name, each in checks.items()
    ]
    assert listed == expected


def test_release_of_an_older_chart_is_named_as_what_it_is() -> None:
    template = {"metadata": {"annotations": {"checksum/config": "1f2e"}}}
    metadata = {"name": "torchserve", "namespace": "torchserve"}
    value = {"kind": "Deployment", "metadata": metadata, "spec": {"template": template}}
    owner = Owner("HelmRelease", "flux-system", "torchserve")
    deployment = Object(value, owner, lambda *_: Location(Path("made.yaml")))
    with pytest.raises(HarnessError, match="carry no settings: their chart is an older one"):
        expected.by_render(Environment("staging", "candidate", (deployment,)))
