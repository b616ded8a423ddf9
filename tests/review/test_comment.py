"""The comment on a pull request: the dangerous first, bounded, and nothing of it is markup."""

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from harness.cli import main
from harness.core.errors import Location, UsageError
from harness.policy.finding import Finding, Severity
from harness.policy.report import Report
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.review import comment
from harness.review.comment import Pair
from tests.support.miniature import Miniature

_CLEAN = Report((), (), (), {"demo": 7}, (), 0.5)
_RELEASE = "clusters/demo/release.yaml"
_EVIL = "```\n</code>@everyone <img src=x> ![x](https://evil.example) \u202e"


def _page(miniature: Miniature, since: str = "HEAD", report: Report = _CLEAN) -> str:
    return comment.page(report, list(comment.pairs(Renderer(miniature.repository), since)), since)


def _headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("### ")]


def _environment(*values: dict[str, object]) -> Environment:
    owner = Owner("Kustomization", "flux-system", "apps")
    objects = [Object(each, owner, lambda *_: Location(Path("a.yaml"), 1)) for each in values]
    return Environment("demo", "candidate", tuple(objects))


def _config(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_nothing_changed(miniature: Miniature) -> None:
    miniature.commit()
    assert _page(miniature).splitlines()[-1] == "Nothing changes in: `demo`."


def test_a_field_is_shown_with_its_source(miniature: Miniature) -> None:
    miniature.commit()
    miniature.edit("apps/base/service.yaml", "port: 9090", "port: 9091")
    text = _page(miniature)
    assert _headings(text) == ["### `demo`: 1 object differs"]
    assert "    spec.ports.1.port: 9090 → 9091\n      apps/base/service.yaml:17" in text


def test_the_dangerous_comes_before_findings_and_the_rest(miniature: Miniature) -> None:
    miniature.commit()
    miniature.edit("apps/demo/helmrelease.yaml", "replicas: 2", "replicas: 0")
    finding = Finding(
        "a/b", Severity.ERROR, "is wrong", Location(Path("a.yaml"), 1), "x", (), "do it right"
    )
    text = _page(miniature, report=Report((finding,), (), (), {"demo": 7}, (), 0.5))
    assert [line.split(":")[0] for line in _headings(text)] == [
        "### Look at these first",
        "### Findings",
        "### `demo`",
    ]
    assert text.startswith("**✗ 1 finding")
    assert "demo: stopped: Deployment/demo/web: replicas fall to 0" in text
    assert "→ do it right" in text


def test_what_pins_its_release_changes_twice(miniature: Miniature) -> None:
    first = miniature.commit()
    miniature.edit(_RELEASE, "branch: main", f"commit: {first}")
    miniature.commit()
    miniature.edit("apps/demo/helmrelease.yaml", "replicas: 2", "replicas: 3")
    text = _page(miniature)
    assert _headings(text) == ["### `demo`, once it is promoted: 2 objects differ"]
    assert text.endswith("Nothing changes in: `demo`, at once.\n")


def test_a_pin_that_moves_changes_at_once_what_the_two_commits_differ_in(
    miniature: Miniature,
) -> None:
    first = miniature.commit()
    miniature.edit("apps/demo/helmrelease.yaml", "replicas: 2", "replicas: 3")
    second = miniature.commit()
    miniature.edit(_RELEASE, "branch: main", f"commit: {first}")
    miniature.commit()
    miniature.edit(_RELEASE, first, second)
    assert "replicas: 2 → 3" in _page(miniature).split("once it is promoted")[0]


def test_an_environment_that_comes_or_goes_is_told(miniature: Miniature) -> None:
    miniature.commit()
    (miniature.root / "clusters/demo").rename(miniature.root / "clusters/next")
    headings = _headings(_page(miniature))
    assert [line.split(":")[0] for line in headings] == ["### `demo`", "### `next`"]


def test_what_does_not_render_is_said(miniature: Miniature) -> None:
    miniature.commit()
    miniature.edit("apps/base/service.yaml", "kind: Service", "kind: [")
    assert "Part of it does not render" in _page(miniature)


def test_a_commit_that_is_not_here_is_a_wrong_call(miniature: Miniature) -> None:
    miniature.commit()
    with pytest.raises(UsageError, match="not in this clone"):
        _page(miniature, since="nowhere")


def test_nothing_that_a_manifest_says_is_markup() -> None:
    old = _environment(_config("a", key="one"), _config(f"b {_EVIL}", key="one"))
    new = _environment(_config("a", **{_EVIL: _EVIL}), {"kind": _EVIL, "metadata": {"name": _EVIL}})
    text = comment.page(_CLEAN, [Pair(old, new)], _EVIL)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    outside = [each for token in tokens if token.type != "fence" for each in token.children or []]
    assert {each.type for each in outside} <= {
        *("text", "code_inline", "strong_open", "strong_close"),
    }
    assert not any("everyone" in each.content for each in outside)
    assert "\u202e" not in text


def test_a_large_change_is_cut_and_every_environment_has_its_share() -> None:
    old = _environment()
    new = _environment(*(_config(f"settings-{number}") for number in range(9_000)))
    pairs = [Pair(old, new, when) for when in ("one", "two", "three")]
    text = comment.page(_CLEAN, pairs, "HEAD^")
    assert len(text) <= comment.LIMIT
    assert [line.split(",", 1)[1] for line in _headings(text)] == [
        " one: 9,000 objects differ",
        " two: 9,000 objects differ",
        " three: 9,000 objects differ",
    ]
    assert text.count("more lines: `harness diff --env demo --from HEAD^`") == 3
    assert text.count("settings-0\n") == 3


def test_command_leaves_the_comment_and_the_summary_of_the_job(
    miniature: Miniature, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    miniature.write("exceptions.yaml", "exceptions: []\n")
    miniature.commit()
    summary = miniature.root / "build" / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.chdir(miniature.root)
    code = main(["check", "--since", "HEAD", "--json"])
    assert code == (0 if json.loads(capsys.readouterr().out)["passed"] else 1)
    written = (miniature.root / "build/check/comment.md").read_text()
    assert summary.read_text() == written
    assert written.startswith("**✗") and "### Findings" in written
