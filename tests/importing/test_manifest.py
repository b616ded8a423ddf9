"""What YAML says of the machine and of the pods, next to how TorchServe is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import InputError, UsageError
from harness.importing.keys import Outcome
from tests.importing.archives import Made
from tests.importing.conftest import import_
from tests.importing.test_sources import CONFIG, row

Write = Callable[[str, str], Path]

UPSTREAM = """\
torchserve_image: pytorch/torchserve:latest-gpu
namespace: torchserve
torchserve:
  management_port: 8081
  inference_port: 8080
  metrics_port: 8082
  grpc_inference_port: 7070
  pvd_mount: /home/model-server/shared/
  n_gpu: 4
  n_cpu: 16
  memory_limit: 32Gi
deployment:
  replicas: 2
persistentVolume:
  name: efs-claim
"""


def test_the_values_of_torchserves_own_chart(write: Write) -> None:
    imported = import_(write("values.yaml", UPSTREAM))

    outcome, text = row(imported, "--ts-config")
    assert outcome is Outcome.LOST
    assert text.startswith("/home/model-server/shared/config/config.properties is not here")
    assert imported.server.number_of_gpu == 4
    assert row(imported, "n_cpu") == (
        Outcome.ELSEWHERE,
        "yours to add to helmrelease.yaml, as the chart's resources: 16",
    )
    assert row(imported, "replicas")[1].endswith("as the chart's replicas: 2")
    assert row(imported, "pvd_mount")[1].startswith("the chart: its ports and paths")


def test_the_file_that_torchserves_own_chart_starts_with(write: Write, tmp_path: Path) -> None:
    write("config/config.properties", CONFIG)
    Made("mnist.mar", "mnist", "2.0").write(tmp_path / "model-store")

    imported = import_(
        write("values.yaml", UPSTREAM),
        tmp_path / "config/config.properties",
        store=tmp_path / "model-store",
    )

    assert imported.refused == ()
    assert imported.server.job_queue_size == 7
    assert imported.models["mnist"].entry.min_workers == 4  # one for each GPU


@pytest.mark.parametrize(
    "text",
    [
        "spec: {containers: [{image: a/torchserve, resources: {limits: {nvidia.com/gpu: 2}}}]}",
        "spec: {model: {modelFormat: {name: x}, resources: {limits: {cpu: 1, nvidia.com/gpu: 2}}}}",
        "spec: {predictor: {pytorch: {storageUri: gs://b/m, resources: {limits: {a.b/gpu: 2}}}}}",
        "{image: torchserve, deploy: {reservations: {devices: [{count: 2, driver: nvidia}]}}}",
    ],
)
def test_the_gpus_of_a_container_are_those_of_its_machine(write: Write, text: str) -> None:
    path = write("old.yaml", text)

    [gpus] = [each for each in import_(path).keys if each.key == "number_of_gpu"]

    assert (gpus.text, gpus.at) == (
        "server.numberOfGpu: 2; not set: TorchServe takes every GPU of its container",
        f"{path}:1",
    )
    written = import_(path, write("config.properties", "number_of_gpu=1\n"))
    assert written.server.number_of_gpu == 1


def test_the_limits_of_an_inference_services_pods(write: Write) -> None:
    predictor = "{minReplicas: 2, maxReplicas: 5, model: {modelFormat: {name: pytorch}}}"
    path = write("isvc.yaml", f"spec: {{predictor: {predictor}}}")

    imported = import_(path)

    assert "autoscaling.minReplicas: 2" in row(imported, "minReplicas")[1]
    assert "autoscaling.maxReplicas: 5" in row(imported, "maxReplicas")[1]


@pytest.mark.parametrize(
    "options",
    [
        "--rm -it --name torchserve -p 8080:8080 --gpus 2",
        "-d --gpus=2 -e A=b --env TS_X --restart always --shm-size=1g",
    ],
)
def test_a_container_that_docker_runs(write: Write, tmp_path: Path, options: str) -> None:
    Made("mnist.mar", "mnist", "2.0").write(tmp_path / "model-store")
    mount = "-v $(pwd)/model-store:/store -e OMP_NUM_THREADS=3"
    command = "torchserve --start --model-store /store --models m=mnist.mar --ncs"
    path = write("run.sh", f"docker run {options} \\\n {mount} pytorch/torchserve:0.12 {command}\n")

    imported = import_(path, store=tmp_path / "model-store")

    assert list(imported.models) == ["m"]
    assert imported.server.number_of_gpu == 2
    assert imported.environment["OMP_NUM_THREADS"] == "3"


def test_a_container_that_runs_the_images_own_command(write: Write) -> None:
    path = write("run.sh", "sudo podman run -p 8080:8080 docker.io/pytorch/torchserve\n")

    imported = import_(path)

    assert imported.server.job_queue_size == 1000
    assert row(imported, "number_of_netty_threads")[1] == "server.numberOfNettyThreads: 32"
    text = "FROM team/torchserve:7\n"
    assert row(import_(write("Dockerfile", text)), "--ts-config")[0] is Outcome.LOST


def test_a_container_of_something_else_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="nothing in it starts TorchServe"):
        import_(write("run.sh", "docker run redis torchserve-cache\n"))


def test_a_folder_without_an_archive_is_no_store(write: Write, tmp_path: Path) -> None:
    write("old/Dockerfile", "FROM pytorch/torchserve\n")
    write("old/conf/config.properties", CONFIG)

    with pytest.raises(UsageError, match="holds no archive") as caught:
        import_(tmp_path / "old")
    assert str(tmp_path / "old/Dockerfile") in caught.value.hint

    Made("toy", "toy", "2.0").write(tmp_path / "old")
    assert "toy" in import_(tmp_path / "old").models


def test_a_build_argument_is_no_variable_of_the_server(write: Write) -> None:
    path = write(
        "Dockerfile",
        "FROM pytorch/torchserve\nARG CUDA=cu121\nARG TS_JOB_QUEUE_SIZE=9\nARG THREADS=2\n"
        "ENV OMP_NUM_THREADS=$THREADS\n",
    )

    imported = import_(path)

    assert imported.environment == {"OMP_NUM_THREADS": "2"}
    assert {"CUDA", "THREADS", "TS_JOB_QUEUE_SIZE"}.isdisjoint(each.key for each in imported.keys)


@pytest.mark.parametrize(
    ("line", "packages"),
    [
        (
            "pip install --no-cache-dir transformers==4.44.0 'ftfy>=6'",
            "transformers==4.44.0, ftfy>=6",
        ),
        ("apt-get update && pip3 install -U ftfy && rm -r /x", "ftfy"),
        (
            "python -m pip install -r requirements.txt --extra-index-url https://a/b",
            "-r requirements.txt",
        ),
        ("uv pip install --system ftfy", "ftfy"),
    ],
)
def test_packages_of_the_old_image_are_named(write: Write, line: str, packages: str) -> None:
    path = write("Dockerfile", f"FROM pytorch/torchserve\nRUN {line}\n")

    outcome, text = row(import_(path), "RUN pip install")

    assert outcome is Outcome.ELSEWHERE
    assert text == f"yours to add to requirements.in of the model that imports them: {packages}"
