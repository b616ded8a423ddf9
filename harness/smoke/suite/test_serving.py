"""The responses of each server: its version, its workers, its predictions, its metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.core.errors import InputError
from harness.models import answer, samples
from harness.models.samples import PreparedSample
from harness.smoke import expected
from harness.smoke.check import Need, check
from harness.smoke.expected import Expected
from harness.smoke.target import Target
from harness.smoke.torchserve import TorchServe

# How the management API calls what a snapshot calls otherwise, and what both call the same.
_SETTINGS = {
    "modelUrl": "mar_name",
    "minWorkers": "min_workers",
    "maxWorkers": "max_workers",
    "batchSize": "batch_size",
    "maxBatchDelay": "max_batch_delay",
    "responseTimeout": "response_timeout",
    "startupTimeout": "startup_timeout",
}
_LOGS = "{kubectl} -n torchserve logs deploy/{group} --tail 50"


@check(
    Need.SERVER,
    then="{kubectl} -n torchserve exec deploy/{group} -- pip show torchserve",
    embedded="make setup",
)
def test_torchserve_is_the_pinned_version(target: Target, servers: list[TorchServe]) -> None:
    for server in servers:
        pinned = expected.torchserve_version(target.repository, target.env, server.group)
        version = server.get("inference_address", "/api-description").json()["info"]["version"]
        assert version == pinned, f"{server.name} runs TorchServe {version}, not {pinned}"


@check(Need.SERVER, then=_LOGS)
def test_every_worker_is_ready(expect: Mapping[str, Expected], servers: list[TorchServe]) -> None:
    for server in servers:
        for name, version, entry in expect[server.group].models.entries():
            workers = server.describe(name, version)["workers"]
            ready = [worker for worker in workers if worker["status"] == "READY"]
            short = f"{server.name}: {name} has {len(ready)} of {entry.min_workers} workers READY"
            assert len(ready) >= max(entry.min_workers, len(workers)), short


@check(
    Need.SERVER,
    then="harness snapshot check --env {env}; harness status {at}",
    embedded="harness snapshot check --env {env}",
)
def test_the_servers_run_the_snapshot_of_git(
    expect: Mapping[str, Expected], servers: list[TorchServe]
) -> None:
    for server in servers:
        git = expect[server.group]
        for key in git.config.keys() | server.config.keys():
            expected_value, actual_value = git.config.get(key), server.config.get(key)
            same = actual_value == expected_value or key in git.may_differ
            assert same, (
                f"{server.name}: {key} is {actual_value!r}, in Git it is {expected_value!r}"
            )
        for name, version, entry in git.models.entries():
            described = server.describe(name, version)
            for theirs, ours in _SETTINGS.items():
                actual_value, expected_value = described[theirs], getattr(entry, ours)
                setting = f"{server.name}: {theirs} of {name} {version}"
                differs = f"{setting} is {actual_value}, not {expected_value}"
                assert actual_value == expected_value, differs


@check(Need.SERVER, then=_LOGS)
def test_each_model_gives_the_correct_answer(
    target: Target,
    expect: Mapping[str, Expected],
    servers: list[TorchServe],
    record_property: Callable[[str, object], None],
) -> None:
    by_group = {
        group: samples.load_samples(target.repository, git.lock) for group, git in expect.items()
    }
    prepared = {name: known for models in by_group.values() for name, known in models.items()}
    for name, model_samples in prepared.items():
        if not model_samples and "/" not in name:
            raise InputError(
                f"no correct answer of {name} is known",
                hint=f"`harness models record {name} FILE`, or write one under samples in "
                f"models/{name}/model.yaml; then `harness models build`",
            )
    recorded = [name for name, known in prepared.items() if any(each.recorded for each in known)]
    if recorded:
        record_property("note", f"the answers of {', '.join(recorded)} are recorded")
    for server in servers:
        for path, sample in _requests(by_group[server.group]):
            reply = server.predict(path, sample.body, sample.content_type)
            what = f"{server.name}: {path}, asked for {sample.name}"
            difference = answer.wrong_response(sample.expected, reply.status, reply.body)
            known_by = f" ({sample.recorded})" if sample.recorded else ""
            assert not difference, f"{what}: {difference}{known_by}"


@check(
    Need.SERVER,
    then="{kubectl} -n torchserve port-forward deploy/{group} 8090 & curl 127.0.0.1:8090/metrics",
)
def test_metrics_are_served(expect: Mapping[str, Expected], servers: list[TorchServe]) -> None:
    for server in servers:
        reply = server.request(f"{server.launcher}/metrics")
        figures = reply.body.decode()
        assert reply.status == 200, f"{server.name}: HTTP {reply.status}"
        for name, version, _ in expect[server.group].models.entries():
            of = f'launcher_workers_ready{{model_name="{name}",model_version="{version}"}}'
            assert of in figures, f"{server.name}: the launcher has no metrics of {name} {version}"
        passed_on = "Requests2XX" in figures
        assert passed_on, f"{server.name}: TorchServe's own metrics are not among them"


def _requests(
    prepared: Mapping[str, Sequence[PreparedSample]],
) -> Iterator[tuple[str, PreparedSample]]:
    """Each sample and where it goes. A version of which no answer is known gets those of the
    default version: that it answers them is all that is asked of it.
    """
    for path, known in prepared.items():
        for sample in known or prepared[path.partition("/")[0]]:
            status_alone = answer.Expected(status=sample.expected.status)
            yield path, sample if known else replace(sample, expected=status_alone)
