"""Workers: a model's settings fit the container that serves it and the clients that wait."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig
from harness.policy.facts.quantity import quantity
from harness.policy.facts.serving import Server, servers
from harness.policy.project import Project
from harness.policy.rule import rule

_MIB = 1 << 20
# MiB that a worker takes before it loads a model: Python, PyTorch and TorchServe's backend; with a
# GPU CUDA's libraries too. No worker takes less.
_WORKER, _WORKER_ON_GPU = 200, 400
_RESPONSE_TIMEOUT = 120  # seconds: TorchServe's own default


@rule(
    "torchserve/batch-delay",
    why="a worker waits maxBatchDelay for a batch to fill: where few requests come each one waits "
    "all of it, and the client gives up",
    fix="maxBatchDelay is in milliseconds: write a few (5 to 100), well below responseTimeout, "
    "then `make snapshot`",
)
def batch_delay(project: Project) -> Iterator[Problem]:
    for server in _all_servers(project):
        for model, settings in server.models.items():
            size, delay, timeout = (
                number if isinstance(number := settings.get(key), int) else default
                for key, default in (
                    ("batchSize", 1),
                    ("maxBatchDelay", 0),
                    ("responseTimeout", _RESPONSE_TIMEOUT),
                )
            )
            if size > 1 and delay >= timeout * 1000:
                message = f"{model}: a batch may wait {delay} ms, a response {timeout} s"
                yield _problem(project, server, model, "maxBatchDelay", message)


@rule(
    "torchserve/workers-fit",
    why="each worker is a process with PyTorch in it: more of them than the memory holds are "
    "killed while they start, over and over",
    fix="lower minWorkers (one for each GPU, or for each core), or raise limits.memory; then "
    "`make snapshot`",
)
def workers_fit(project: Project) -> Iterator[Problem]:
    for server in _all_servers(project):
        limit = quantity(server.container.dig("resources", "limits", "memory"))
        each_mib = _WORKER_ON_GPU if server.pod.gpus else _WORKER
        workers = {
            model: count if isinstance(count := settings.get("minWorkers"), int) else 1
            for model, settings in server.models.items()
        }
        total = sum(workers.values())
        if limit is not None and total * each_mib * _MIB > limit:
            model = max(workers, key=lambda each: workers[each])
            message = (
                f"{total} workers take {total * each_mib:,} MiB at least before any model is "
                f"loaded, the container has {int(limit / _MIB):,} MiB"
            )
            yield _problem(project, server, model, "minWorkers", message)


def _all_servers(project: Project) -> Iterator[Server]:
    for environment in project.environments.values():
        yield from servers(environment)


def _problem(project: Project, server: Server, model: str, key: str, message: str) -> Problem:
    """A problem of a model's setting: at the group's serving.yaml, or else at model.yaml."""
    name = model.partition("/")[0]
    environment = server.environment.name
    for path, where in (
        (f"apps/torchserve/{environment}/{server.group}/serving.yaml", ("models", name, key)),
        (f"models/{name}/model.yaml", ("serving", key)),
    ):
        for document in project.documents(path):
            if dig(document.value, *where) is not None:
                return Problem(message, document.at(where), f"{environment}/{server.group}")
    return server.problem(message, "model_snapshot")
