"""TorchServe's settings: what it would do in silence, and does not say.

Keys and defaults: org.pytorch.serve.util.ConfigManager of TorchServe 0.12.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import Location
from harness.core.fix import REMOVED
from harness.core.problem import Problem
from harness.core.values import items, text
from harness.policy.facts.graph import chart
from harness.policy.facts.quantity import number
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.policy.rule import problem, rule
from harness.render.rendered import Environment

_CHART = "apps/torchserve/chart"
_LOOPBACK = ("", "127.0.0.1", "localhost", "::1")  # empty: TorchServe's own default is loopback
_ELSEWHERE = (  # where a request could load a model from, were it allowed to
    "https://example.com/model.mar",
    "http://169.254.169.254/latest/model.mar",
    "file:///tmp/model.mar",
    "s3://bucket/model.mar",
)


@rule(
    "torchserve/served",
    why="a group that mounts no config.properties starts TorchServe's defaults: no model",
    fix="let each HelmRelease of the chart make one Deployment, which mounts config.properties; a "
    "second TorchServe is a group of its own (`harness groups add`)",
)
def mounts_config(environment: Environment) -> Iterator[Problem]:
    groups = [
        each for each in environment.of("HelmRelease") if chart(each).removeprefix("./") == _CHART
    ]
    if not groups:
        where = Location(Path("clusters", environment.name, "apps.yaml"), 1)
        yield Problem(f"no HelmRelease installs {_CHART}: nothing is served", where)
    serving = [server.group for server in servers(environment)]
    for release in groups:
        if (count := serving.count(release.name)) != 1:
            message = f"{count} of its Deployments mount a config.properties of their namespace"
            yield problem(release, message, "spec", "values")


@rule(
    "torchserve/tested",
    why="the Helm test asks its own group's server: for a model of another one it fails, and the "
    "release is rolled back",
    fix="name a model of the group in values.test.model, or none",
)
def tests_own_model(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        owner = server.pod.owner.owner
        release = environment.find("HelmRelease", owner.name, owner.namespace)
        where = ("spec", "values", "test", "model")
        model = text(release.value, *where) if release else ""
        if release and model and model not in {key.rpartition("/")[0] for key in server.models}:
            yield problem(release, f"{server.group} does not serve {model}", *where)


@rule(
    "torchserve/management-on-loopback",
    why="who reaches the management port registers a model, which is arbitrary Python",
    fix="set management_address, metrics_address and grpc_management_address to 127.0.0.1",
    references=("NSA/CISA C-0055", "CVE-2023-43654"),
)
def management_on_loopback(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for key, host in (
            ("management_address", server.address("management_address")[0]),
            ("metrics_address", server.address("metrics_address")[0]),
            ("grpc_management_address", server.setting("grpc_management_address")),
        ):
            if host not in _LOOPBACK:
                yield server.problem(f"{key} listens on {host}", key)


@rule(
    "torchserve/git-alone-decides",
    why="a model registered by hand, or a variable that overrules the file, was never reviewed and "
    "is gone with the pod",
    fix="leave enable_model_api, enable_envvars_config and use_env_allowed_urls false",
)
def git_alone_decides(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for key in ("enable_model_api", "enable_envvars_config", "use_env_allowed_urls"):
            if server.setting(key) == "true":
                yield server.problem(f"{key} is on", key)


@rule(
    "torchserve/variables",
    why="TorchServe reads TS_… only where enable_envvars_config is on: the variable does nothing",
    fix="write the setting into serving.yaml, without TS_ and as TorchServe's file spells it",
    severity=Severity.WARNING,
)
def variables_are_read(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for index, variable in enumerate(items(server.container.value, "env")):
            name = text(variable, "name")
            if name.startswith("TS_") and server.setting("enable_envvars_config") != "true":
                key = name.removeprefix("TS_").lower()
                message = f"TorchServe does not read {name}; serving.yaml sets {key}"
                yield server.container.problem(message, "env", index, to=REMOVED)


@rule(
    "torchserve/allowed-urls-closed",
    why="TorchServe's default allows a model from any URL, the node's metadata service among them",
    fix="set allowed_urls to a pattern that fits no URL",
    references=("CVE-2023-43654",),
)
def no_allowed_url(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        if not server.setting("allowed_urls"):
            yield server.problem("allowed_urls is not set: every URL is allowed", "allowed_urls")
        for pattern in server.setting("allowed_urls").split(","):
            if any(_fits(pattern, url) for url in _ELSEWHERE):
                yield server.problem(f"allowed_urls allows {pattern}", "allowed_urls")


def _fits(pattern: str, url: str) -> bool:
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:
        return True  # not known to be closed


@rule(
    "torchserve/tokens-off",
    why="each pod makes its own tokens, so a Service in front of two answers half of the requests "
    "with 400; the gateway authenticates",
    fix="set disable_token_authorization=true",
)
def tokens_off(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        if server.setting("disable_token_authorization") != "true":
            key = "disable_token_authorization"
            yield server.problem("each pod asks for a token of its own", key)


@rule(
    "torchserve/metrics-mode",
    why="in the default mode /metrics answers 200 with nothing in it: every alert stays silent",
    fix="set metrics_mode=prometheus",
)
def metrics_mode(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        mode = server.setting("metrics_mode") or "log"
        if mode != "prometheus":
            yield server.problem(f"metrics_mode is {mode}", "metrics_mode")


@rule(
    "torchserve/ports",
    why="the Service, the probes and the policies go by the declared ports, TorchServe by its "
    "file, where loopback is the default: where they differ nothing answers",
    fix="listen on 0.0.0.0, at the ports that the chart declares",
)
def ports(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        rest, grpc = server.address("inference_address"), server.setting("grpc_inference_address")
        for key, host, port in (
            ("inference_address", rest[0], rest[1] or 8080),
            (
                "grpc_inference_address",
                grpc,
                int(number(server.setting("grpc_inference_port"), 7070)),
            ),
        ):
            if host in _LOOPBACK:
                yield server.problem(f"{key} is bound to loopback", key)
            if server.container.port(port) is None:
                message = f"no port {port} is declared, where {key} listens"
                yield server.container.problem(message, "ports")
        for key in ("management_address", "metrics_address"):
            closed = server.address(key)[1]
            if server.container.port(closed) is not None:
                yield server.container.problem(f"declares {closed}, the port of {key}", "ports")


@rule(
    "torchserve/model-store",
    why="TorchServe looks where model_store points; what it can write there, a model can replace",
    fix="mount the claim read-only at the model_store of config.properties",
    references=("NSA/CISA C-0017",),
)
def model_store(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        mount = server.container.mount(server.setting("model_store") or "/-")
        if mount is None:
            yield server.container.problem("mounts nothing at model_store", "volumeMounts")
        elif mount[1].get("readOnly") is not True:
            message = "may write to the model store"
            yield server.container.problem(message, "volumeMounts", mount[0])


@rule(
    "torchserve/envelope-batch",
    why="TorchServe's envelope kservev2 reads the first request of a batch only: all of them are "
    "answered 503, number of batch response mismatched",
    fix="batchSize: 1 for the models of that group; or take serviceEnvelope out, and let the "
    "handler read v2's JSON",
)
def envelope_batch(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        if server.setting("service_envelope") == "kservev2":
            for name, model in server.models.items():
                if number(model.get("batchSize"), 1) > 1:
                    message = f"{name} has batchSize {model['batchSize']}, and kservev2 takes one"
                    yield server.problem(message, "model_snapshot")
