"""``harness loadtest`` as it is typed: the first line, the exit code, nobody's traceback."""

import json
from pathlib import Path

import pytest
import yaml

from harness.cli import main
from tests.loadtest.cases import profile

LENIENT = {"lateness": 500, "drift": 100, "generatorCpu": 1}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A profile's file."""
    path = tmp_path / "loadtest.yaml"
    load = profile(
        stages=[{"kind": "hold", "seconds": 10, "rate": 50}],
        slos=[{"latency": {"p50": 500}}],
        judge=LENIENT,
    )
    path.write_text(yaml.safe_dump(load.model_dump(mode="json", by_alias=True, exclude_none=True)))
    return path


def test_the_verdict_is_the_first_line_and_reports_can_be_compared(
    stub: str, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["loadtest", "--target", stub, "--profile", str(written), "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "verdict: pass"
    assert "load test of" in printed.err
    report = str(out / "report.json")
    # The very same figures: their ratio is 1, so nothing can be worse.
    assert main(["loadtest", "compare", report, report, "--tolerance", "0.5", "--json"]) in (0, 3)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["a"] == row["b"] and row["judgement"] != "worse" for row in rows)


def test_json_is_the_report_without_its_plots(
    stub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "loadtest.yaml"
    mix = [{"request": {"name": "busy", "path": "/status/503"}}]
    stages = [{"kind": "hold", "seconds": 1, "rate": 50}]
    path.write_text(yaml.safe_dump({"mix": mix, "stages": stages, "judge": LENIENT}))
    words = ["loadtest", "--json", "--target", stub, "--profile", str(path)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "fail"
    assert "timeline" not in answer


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "--env", "nowhere"], 2, "no environment 'nowhere'"),
        (["run", "--target", "localhost:1", "--profile", "{profile}"], 2, "is not a target"),
        (["run", "--profile", "/none.yaml", "--target", "http://x"], 1, "/none.yaml"),
        (
            ["run", "--target", "http://x", "--profile", "{profile}", "--processes", "0"],
            2,
            "1 or more",
        ),
        (
            ["run", "--target", "http://x", "--profile", "{profile}", "--remote", "two"],
            2,
            "not N@HOST",
        ),
        (["compare", "/none.json", "/none.json"], 1, "/none.json"),
    ],
    ids=["env", "target", "profile", "processes", "remote", "compare"],
)
def test_a_mistake_is_one_clear_line(
    words: list[str], code: int, message: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(profile=written) for word in words]
    assert main(["loadtest", *filled]) == code
    assert message in capsys.readouterr().err
