"""``harness snapshot`` as it is typed."""

import json

import pytest

from harness import cli
from harness.core.repository import Repository
from tests.snapshot.test_import import SAMPLES


@pytest.fixture(autouse=True)
def _inside(small: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.root)


def test_what_was_written_is_fresh(small: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["snapshot", "write", "--env", "test"]) == 0
    assert cli.main(["snapshot", "check", "--all"]) == 0

    assert capsys.readouterr().out == "fresh\n"
    assert (small.group("test", "torchserve") / "model-files.yaml").is_file()


def test_a_stale_file_is_shown_and_left_alone(
    small: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["snapshot", "write", "--all"])
    path = small.group("test", "torchserve") / "config.properties"
    path.write_text(path.read_text().replace("job_queue_size=10", "job_queue_size=11"))

    assert cli.main(["snapshot", "check", "--env", "test"]) == 1

    out, err = capsys.readouterr()
    assert "-job_queue_size=11\n+job_queue_size=10\n" in out
    assert out.startswith("--- apps/torchserve/test/torchserve/config.properties\n")
    assert "next: harness snapshot write --env test\n" in err
    assert "job_queue_size=11" in path.read_text()


def test_json_names_what_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["snapshot", "check", "--all", "--json"]) == 1

    answer = json.loads(capsys.readouterr().out)
    assert answer["stale"] == [
        "apps/torchserve/test/torchserve/config.properties",
        "apps/torchserve/test/torchserve/model-files.yaml",
    ]


def test_alerts_of_an_environment_that_is_gone_go_too(
    small: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["snapshot", "write", "--all"])
    left = small.root / "apps/torchserve/slos/dev/prometheusrule.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("kind: PrometheusRule\n")

    assert cli.main(["snapshot", "check", "--env", "test"]) == 0, "it is none of this one's"
    capsys.readouterr()
    assert cli.main(["snapshot", "check", "--all", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["orphaned"] == [str(left.relative_to(small.root))]
    assert cli.main(["snapshot", "write", "--all"]) == 0
    assert not left.parent.exists()
    assert cli.main(["snapshot", "check", "--all"]) == 0


def test_another_lock_gives_another_snapshot(
    small: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["snapshot", "write", "--all"])
    built = small.root / "built.yaml"
    built.write_text(small.lock.read_text().replace("cat.mar", "cat-1.0-0f3a.mar"))

    assert cli.main(["snapshot", "check", "--all", "--lock", str(built)]) == 1

    assert "cat-1.0-0f3a.mar" in capsys.readouterr().out


def test_an_import_says_what_it_wrote_and_what_it_left(
    small: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["snapshot", "import", str(SAMPLES / "two-models.properties")]) == 0

    output = capsys.readouterr()
    assert "mnist: {}" in output.out
    assert "wrote models/mnist/model.yaml" in output.err
    assert "NUM_WORKERS (line 4): TorchServe 0.12 does not know it" in output.err
    assert (small.models / "squeezenet1_1/model.yaml").is_file()


def test_an_import_replaces_serving_yaml_only_when_told(
    small: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["snapshot", "import", str(SAMPLES / "one-model.properties"), "--env", "test", "--json"]
    before = (small.group("test", "torchserve") / "serving.yaml").read_text()

    assert cli.main(argv) == 2
    assert (small.group("test", "torchserve") / "serving.yaml").read_text() == before
    assert not (small.models / "squeezenet1_1").exists()
    capsys.readouterr()

    assert cli.main([*argv, "--force"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "apps/torchserve/test/torchserve/serving.yaml" in answer["written"]
    assert {remark["key"] for remark in answer["remarks"]} >= {"NUM_WORKERS", "version"}
    assert cli.main(["snapshot", "write", "--env", "test"]) == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["snapshot", "write", "--env", "nope"], 2),
        (["snapshot", "import", "no"], 1),
    ],
)
def test_a_mistake_has_its_exit_code(argv: list[str], code: int) -> None:
    assert cli.main(argv) == code
