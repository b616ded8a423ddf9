"""Each kind of source, and what TorchServe is started with according to it."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import InputError, UsageError
from harness.importing import report
from harness.importing.keys import Outcome
from harness.importing.outcome import Imported
from tests.importing import forms
from tests.importing.archives import Made
from tests.importing.conftest import import_

Write = Callable[[str, str], Path]
CONFIG = "job_queue_size=7\nmax_request_size=1000000\nload_models=all\n"


def row(imported: Imported, key: str) -> tuple[Outcome, str]:
    """The class and text of a key, which stands once."""
    [match] = [each for each in imported.keys if each.key == key]
    return match.outcome, match.text


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "model-store"
    Made("mnist.mar", "mnist", "2.0", {"minWorkers": 2, "maxWorkers": 3}).write(folder)
    return folder


def assert_mnist_by(imported: Imported, queue: int = 7) -> None:
    assert imported.refused == ()
    assert imported.server.job_queue_size == queue
    assert imported.models["mnist"].entry.max_workers == 3


@pytest.mark.parametrize(
    "command",
    [
        'CMD ["torchserve", "--start", "--ts-config", "/ts/config.properties", "--foreground"]',
        "CMD torchserve --start --ts-config=/ts/config.properties && tail -f /dev/null",
        'ENTRYPOINT ["torchserve"]\nCMD ["--start", "--ts-config", "/ts/config.properties"]',
        'CMD ["sh", "-c", "cd / && exec torchserve --start --ts-config /ts/config.properties"]',
        "ENV C=/ts/config.properties\nCMD torchserve --start \\\n  # note\n  --ts-config $C",
        'ENTRYPOINT ["/e.sh"]\nCMD ["torchserve", "--ts-config", "/ts/config.properties"]',
        'COPY start.sh /start.sh\nCMD ["/start.sh"]',
    ],
)
def test_a_dockerfile_in_each_of_its_forms(write: Write, store: Path, command: str) -> None:
    write("config.properties", CONFIG)
    write("start.sh", "#!/bin/sh\ntorchserve --start \\\n --ts-config /ts/config.properties\n")
    lines = "FROM builder AS one\nCMD other\nFROM pytorch/torchserve:latest\n"
    lines += "COPY config.properties /ts/\nCOPY model-store /models\n"
    path = write("Dockerfile", lines + command)

    assert_mnist_by(import_(path, store=store))


def test_a_dockerfile_without_a_command_runs_the_images_own(write: Write, store: Path) -> None:
    write("config.properties", CONFIG)
    path = write(
        "Dockerfile",
        "FROM docker.io/pytorch/torchserve:0.12.0-cpu\n"
        "COPY config.properties /home/model-server/config.properties\n",
    )

    assert_mnist_by(import_(path, store=store))


def test_the_variable_that_names_the_file_comes_before_the_command(
    write: Write, store: Path
) -> None:
    write("config.properties", CONFIG)
    write("other.properties", "job_queue_size=1\n")
    path = write(
        "Dockerfile",
        "FROM x\nCOPY *.properties /ts/\nENV TS_CONFIG_FILE=/ts/config.properties\n"
        "CMD torchserve --start --ts-config /ts/other.properties\n",
    )

    assert_mnist_by(import_(path, store=store))


def test_compose_with_mounts_and_variables(write: Write, store: Path) -> None:
    write("conf/config.properties", CONFIG + "enable_envvars_config=true\n")
    path = write(
        "compose.yaml",
        """
services:
  redis: {image: redis, command: ["redis-server"], environment: {TS_JOB_QUEUE_SIZE: 1}}
  torchserve:
    image: pytorch/torchserve:0.12.0-cpu
    command: torchserve --start --ts-config /conf/config.properties --model-store /store
    volumes: ["./conf:/conf:ro", "./model-store:/store"]
    environment:
      - TS_JOB_QUEUE_SIZE=99
      - HF_TOKEN=hf_secret
      - OMP_NUM_THREADS=1
""",
    )

    imported = import_(path)

    assert_mnist_by(imported, queue=99)
    assert row(imported, "HF_TOKEN") == (
        Outcome.ELSEWHERE,
        "the chart's `env`, in helmrelease.yaml: add it there with valueFrom, from a Secret",
    )
    assert "hf_secret" not in str(imported)
    assert imported.environment == {"OMP_NUM_THREADS": "1"}


def test_a_kubernetes_manifest_with_its_config_map(write: Write, store: Path) -> None:
    path = write(
        "all.yaml",
        f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: ts}}
data:
  config.properties: |
{textwrap.indent(CONFIG + "number_of_gpu=two", "    ")}
---
apiVersion: apps/v1
kind: Deployment
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: proxy
          image: envoy
        - name: ts
          image: registry.example.org/team/torchserve:7
          args: ["torchserve", "--start", "--ts-config", "/c/config.properties"]
          env:
            - {{name: TS_NUMBER_OF_GPU, value: "1"}}
            - {{name: AWS_SECRET_ACCESS_KEY, valueFrom: {{secretKeyRef: {{name: a, key: b}}}}}}
          resources: {{limits: {{nvidia.com/gpu: 1}}}}
""",
    )

    imported = import_(path, store=store)

    [problem] = imported.problems
    assert (problem.location.line, "'two'" in problem.message) == (10, True)
    assert row(imported, "TS_NUMBER_OF_GPU")[0] is Outcome.NOTHING
    assert row(imported, "resources")[0] is Outcome.ELSEWHERE
    assert row(imported, "AWS_SECRET_ACCESS_KEY")[0] is Outcome.ELSEWHERE


def test_an_inference_service_and_the_file_that_it_fetches(write: Write, store: Path) -> None:
    config = write("config/config.properties", CONFIG)
    path = write(
        "isvc.yaml",
        """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec:
  predictor:
    model:
      modelFormat: {name: pytorch}
      storageUri: gs://bucket/mnist
      env: [{name: TS_SERVICE_ENVELOPE, value: kserve}]
""",
    )

    imported = import_(path, config, store=store)

    assert_mnist_by(imported)
    assert row(imported, "storageUri")[0] is Outcome.ELSEWHERE
    assert "add both as sources" in row(import_(path, store=store), "storageUri")[1]


def test_the_values_of_somebodys_chart(write: Write, store: Path) -> None:
    values = {"torchserve": {"config": CONFIG}}
    path = write("values.yaml", f"image: {{repository: pytorch/torchserve}}\n{values}")
    path.write_text(f"torchserve:\n  config: |\n{textwrap.indent(CONFIG, '    ')}")

    assert_mnist_by(import_(path, store=store))


def test_a_helm_template_has_to_be_rendered_first(write: Write) -> None:
    path = write("deployment.yaml", "{{- if .Values.a }}\nkind: Deployment\n{{- end }}\n")

    with pytest.raises(InputError, match="helm template"):
        import_(path)


def test_a_command_line_alone(store: Path) -> None:
    imported = import_(
        f"torchserve --start --ncs --model-store {store} --models m=mnist.mar --disable-token-auth"
    )

    assert imported.models["m"].version == "2.0"
    assert row(imported, "disable_token_authorization")[0] is Outcome.ELSEWHERE


def test_an_option_that_torchserve_refuses() -> None:
    imported = import_("torchserve --start --model-stores /x")

    assert "unrecognized --model-stores; did you mean --model-store?" in str(imported.problems)


def test_variables_beat_the_command_line_and_that_the_file(write: Write, store: Path) -> None:
    config = write("config.properties", "load_models=a.mar\nenable_envvars_config=true\n")
    command = f"torchserve --start --models b.mar --model-store {store}"

    imported = import_("TS_LOAD_MODELS=mnist.mar", command, config)

    assert list(imported.models) == ["mnist"]
    beaten = [key for key in imported.keys if key.key == "load_models" and "overrides" in key.text]
    assert [Path(key.at).name for key in beaten] == ["config.properties:1", "the command line"]


def test_variables_in_values_come_from_the_sources(write: Write) -> None:
    config = write("config.properties", "job_queue_size=$$QUEUE$$\n")

    assert import_(config, "QUEUE=12").server.job_queue_size == 12
    [problem] = import_(config).problems
    assert "add QUEUE=VALUE as a source" in problem.message


def test_a_line_that_is_refused_is_not_said_to_have_no_effect(write: Write) -> None:
    config = write("config.properties", "max_request_size=7000 # bytes\ndisable_token_auth=true\n")
    imported = import_(config)
    table = report.as_text(imported)

    assert "max_request_size has a comment behind its value" in str(imported.refused)
    assert "max_request_size" not in table
    assert "no effect: 1\n  disable_token_auth" in table


def test_a_file_of_variables(write: Write) -> None:
    config = write("config.properties", "job_queue_size=$$QUEUE$$\n")
    variables = write("production.env", '# ours\nexport QUEUE="13"\n')

    assert import_(config, variables).server.job_queue_size == 13


def test_a_model_config_of_its_own(write: Write) -> None:
    config = write("config.properties", "load_models=llm.mar\n")
    config_of_model = write("model-config.yaml", "minWorkers: 2\nmaxWorkers: 2\nbatchSize: 16\n")

    assert import_(config, f"llm={config_of_model}").models["llm"].entry.batch_size == 16


def test_the_metrics_file_goes_along(write: Write) -> None:
    config = write("config.properties", "metrics_config=/home/model-server/m.yaml\n")
    assert row(import_(config), "metrics_config")[0] is Outcome.LOST

    metrics = write("m.yaml", forms.METRICS)

    imported = import_(config, metrics)
    assert imported.metrics == metrics
    assert row(imported, "metrics_config")[1] == "server.metricsConfig: metrics.yaml"


def test_an_archive_in_place_of_its_folder(store: Path) -> None:
    with pytest.raises(UsageError, match="give its folder: --store"):
        import_(store / "mnist.mar")


def test_a_manifest_that_starts_something_else(write: Write) -> None:
    redis = write("redis.yaml", "containers: [{name: redis, image: redis:7, args: [--save]}]\n")
    with pytest.raises(InputError, match="nothing in it starts TorchServe"):
        import_(redis)


def test_no_model_is_said(write: Write) -> None:
    text = report.as_text(import_(write("config.properties", "job_queue_size=7\n")))
    assert "models: none in these sources, so that those of --like are served" in text


def test_the_lock_is_followed_by_the_snapshot_of_it(store: Path) -> None:
    steps = report.next_steps(import_(store), "mine", applied=True, audit=False)
    verbs = [" ".join(step.split()[:3]) for step in steps]
    assert verbs.index("harness snapshot write") == verbs.index("harness models lock") + 1


def test_a_file_that_the_command_names_and_nobody_gave_is_said(write: Write) -> None:
    command = "torchserve --start --ts-config /elsewhere/config.properties"
    outcome, text = row(import_(command), "--ts-config")
    assert outcome is Outcome.LOST
    assert "/elsewhere/config.properties is not here" in text

    imported = import_(command, write("config.properties", "job_queue_size=7\n"))
    assert not [key for key in imported.keys if key.key == "--ts-config"]


def test_what_a_script_registers_later_is_said(write: Write) -> None:
    script = write(
        "start.sh",
        "torchserve --start --ncs\n"
        'curl -X POST "localhost:8081/models?initial_workers=1&url=faces.mar&batch_size=4"\n',
    )
    outcome, text = row(import_(script), "POST /models: faces.mar")
    assert outcome is Outcome.LOST
    assert "add it to --models" in text


def test_a_word_that_is_nothing() -> None:
    with pytest.raises(UsageError, match="not a file, folder, command or address"):
        import_("nothing.properties")


def test_workflows_are_named_with_what_they_break(store: Path) -> None:
    (store / "flow.war").write_bytes(b"")

    assert row(import_(store), "workflows")[0] is Outcome.LOST


def test_a_key_of_the_file_alone_is_no_variable(write: Write) -> None:
    config = write("config.properties", CONFIG)
    path = write("Dockerfile", "FROM x\nENV TS_ENABLE_ENVVARS_CONFIG=true\nCMD top\n")

    outcome, text = row(import_(path, config), "TS_ENABLE_ENVVARS_CONFIG")

    assert outcome is Outcome.NOTHING
    assert text == "no variable sets it: TorchServe reads enable_envvars_config from its file alone"


def test_archives_that_were_not_read_are_named(write: Write, store: Path) -> None:
    config = write("config.properties", "load_models=mnist.mar,gone.mar\n")

    text = report.as_text(import_(config))

    assert "no archive was read (mnist.mar, gone.mar): what they say" in text
    assert (
        "add --store FOLDER"
        in report.next_steps(import_(config), "x", applied=False, audit=True)[0]
    )
