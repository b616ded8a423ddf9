"""Starting, stopping and rolling TorchServe: the pod's clocks agree with the models'."""

import dataclasses
from collections.abc import Iterator
from math import inf

from harness.core.problem import Problem
from harness.core.values import KeyPath, dig, items, mapping, text
from harness.policy.facts.pods import window
from harness.policy.facts.quantity import number, quantity, seconds
from harness.policy.facts.scale import replicas, rollout, step
from harness.policy.facts.serving import Server, servers
from harness.policy.rule import problem, rule
from harness.render.objects import Object, stem
from harness.render.rendered import Environment

# Where a container names the ConfigMap that its environment comes from.
_VARIABLES = {"env": ("valueFrom", "configMapKeyRef"), "envFrom": ("configMapRef",)}
_JVM_STOP = 10  # seconds
# The two parts of a request's life at the gateway, with Envoy's defaults (s); 0 is not a limit.
_PHASES = (
    ("ClientTrafficPolicy", "requestReceivedTimeout", 0),
    ("BackendTrafficPolicy", "requestTimeout", 15),
)
_ASKS = {"startupProbe": "/startup", "readinessProbe": "/ready", "livenessProbe": "/live"}


@rule(
    "lifecycle/probes-ask-launcher",
    why="TorchServe's own /ping says Healthy while a model still loads, and for minutes after its "
    "worker died",
    fix="probe /startup, /ready and /live on the launcher's port",
)
def probes_ask_launcher(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        launcher = server.container.option("--port")
        for probe, path in _ASKS.items():
            handler = mapping(server.container.value, probe, "httpGet")
            port = server.container.port(handler.get("port"))
            if handler and (text(handler, "path"), str(port)) != (path, launcher):
                message = f"{probe} asks {text(handler, 'path')} on {handler.get('port')}"
                yield server.container.problem(
                    f"{message}, not {path} on the launcher's port", probe, "httpGet"
                )


@rule(
    "lifecycle/startup-window",
    why="a probe that gives up before the slowest model has loaded restarts the pod forever",
    fix="raise failureThreshold × periodSeconds of the startup probe above the longest "
    "startupTimeout",
)
def startup_window(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        probe = mapping(server.container.value, "startupProbe")
        limit = window(probe)
        if probe and limit < (longest := server.longest("startupTimeout")):
            message = f"startupProbe gives up after {limit} s, a model may take {longest} s"
            yield server.container.problem(message, "startupProbe", "failureThreshold")


@rule(
    "lifecycle/grace-period",
    why="the kubelet kills what has not ended by then, with the requests that it still holds; a "
    "pod that stops at once drops what proxies still send",
    fix="give the launcher --drain-seconds, the pod a preStop sleep, and "
    "terminationGracePeriodSeconds both plus ten seconds for the JVM",
)
def grace_period(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        sleep = server.container.dig("lifecycle", "preStop", "sleep", "seconds")
        drain = server.container.option("--drain-seconds")
        if drain is None:
            yield server.container.problem("the launcher has no --drain-seconds", "args")
        if not isinstance(sleep, int) or sleep == 0:
            sleep = 0
            yield server.container.problem("stops at once, while proxies still send", "lifecycle")
        needed = sleep + number(drain, 0) + _JVM_STOP
        limit = server.pod.spec.get("terminationGracePeriodSeconds", 30)
        if not isinstance(limit, int) or limit < needed:
            message = f"the grace period is {limit} s, stopping may take {needed:g} s"
            yield server.pod.problem(message, "terminationGracePeriodSeconds")


@rule(
    "lifecycle/progress-deadline",
    why="a rollout that goes on longer than progressDeadlineSeconds without a ready pod counts as "
    "failed, however well it goes, and Helm rolls it back",
    fix="raise progressDeadlineSeconds above the startup window, and above the grace period too "
    "where an old pod makes room for a new one",
)
def progress_deadline(environment: Environment) -> Iterator[Problem]:
    for deployment in environment.of("Deployment"):
        limit = number(deployment.dig("spec", "progressDeadlineSeconds"), 600)
        rolling = rollout(deployment, replicas(environment, deployment)[0])
        if limit <= (needed := step(deployment, rolling)):
            message = f"counts as failed after {limit:g} s, a pod may take {needed} s"
            yield problem(deployment, message, "spec", "progressDeadlineSeconds")


@rule(
    "lifecycle/drain-outlasts-requests",
    why="what a stopping pod has not answered by --drain-seconds is cut, and the gateway may just "
    "have begun to send it",
    fix="raise `drainSeconds` in the chart's values to the gateway's requestReceivedTimeout plus "
    "its requestTimeout, and no less than the longest responseTimeout",
)
def drain_outlasts_requests(environment: Environment) -> Iterator[Problem]:
    phases = [phase for phase in (_longest_phase(environment, *each) for each in _PHASES) if phase]
    at_gateway = sum(limit for limit, *_ in phases)
    for server in servers(environment):
        drain = server.container.option("--drain-seconds")
        needed = max(at_gateway, server.longest("responseTimeout"))
        if drain is None or number(drain, 0) >= needed:
            continue
        lasts = "forever" if needed == inf else f"{needed:g} s"
        message = f"drains for {drain} s, a request may take {lasts}"
        option = server.container.option_path("--drain-seconds")
        short = server.container.problem(message, *option)
        # Whoever did not set the drain has made requests longer.
        if needed == at_gateway and (needed == inf or environment.is_of_chart(short.location)):
            _, policy, key = max(phases, key=lambda phase: phase[0])
            at = policy.at("spec", "timeout", "http", key)
            short = dataclasses.replace(short, location=at)
        yield short


def _longest_phase(
    environment: Environment, kind: str, key: str, default: int
) -> tuple[float, Object, str] | None:
    """The longest time (s) that a policy of the gateway gives to a part of a request."""
    limits = [
        (seconds(each.dig("spec", "timeout", "http", key), default) or inf, each, key)
        for each in environment.of(kind)
    ]
    return max(limits, key=lambda limit: limit[0], default=None)


@rule(
    "lifecycle/rolls-with-config",
    why="a ConfigMap changes under pods that run: a pod of the last release that starts again in a "
    "rollout, or after a rollback, reads the next one's settings with the last one's image",
    fix="keep the settings in the pod template's annotations, and mount them by a downwardAPI "
    "volume; a ConfigMap of your own is named by its content where kustomize generates it, and "
    "`env` of the chart's values takes the variables themselves",
)
def rolls_with_config(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for name, path in _config_maps(server):
            named_by_content = stem(name) != name
            if not named_by_content and environment.find(
                "ConfigMap", name, server.pod.owner.namespace
            ):
                message = f"reads ConfigMap {name}, which a release changes in place"
                yield problem(server.pod.owner, message, *path)


def _config_maps(server: Server) -> Iterator[tuple[str, KeyPath]]:
    """The ConfigMaps that a server's pod reads, and where it names them."""
    for index, volume in enumerate(items(server.pod.spec, "volumes")):
        where = (*server.pod.path, "spec", "volumes", index)
        yield text(volume, "configMap", "name"), (*where, "configMap")
        for source in items(volume, "projected", "sources"):
            yield text(source, "configMap", "name"), (*where, "projected")
    for container in server.pod.containers:
        for key, named in _VARIABLES.items():
            for index, variable in enumerate(items(container.value, key)):
                yield text(variable, *named, "name"), (*container.path, key, index)


@rule(
    "lifecycle/writable",
    why="with a read-only root TorchServe needs a folder for its logs and the unpacked models, and "
    "/tmp: it does not start without",
    fix="mount an emptyDir at the launcher's --work folder and at /tmp",
)
def writable(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        for folder in (server.container.option("--work") or "/-", "/tmp"):  # noqa: S108
            _, mount = server.container.mount(folder) or (0, {})
            _, volume = server.pod.volume(text(mount, "name")) or (0, {})
            if dig(volume, "emptyDir") is None:
                yield server.container.problem(f"cannot write to {folder}", "volumeMounts")


@rule(
    "lifecycle/workspace-fits-models",
    why="TorchServe unpacks every archive into the working folder: full, it skips the models that "
    "did not fit and says Healthy",
    fix="raise `workspace` in the chart's values",
)
def workspace_fits_models(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        _, mount = server.container.mount(server.container.option("--work") or "/-") or (0, {})
        index, volume = server.pod.volume(text(mount, "name")) or (0, {})
        room = quantity(dig(volume, "emptyDir", "sizeLimit"))
        sizes = (entry.get("size") for entry in server.files)
        needed = sum(size for size in sizes if isinstance(size, int))
        if room is not None and room < needed:
            message = f"the archives alone take {needed >> 20} MiB, the working folder has less"
            yield server.pod.problem(message, "volumes", index, "emptyDir", "sizeLimit")


@rule(
    "lifecycle/model-files",
    why="the launcher verifies the files in its list: a model that is not among them is served "
    "unchecked, or not at all",
    fix="run `make snapshot`: config.properties and model-files.yaml come from one lock",
)
def listed_files(environment: Environment) -> Iterator[Problem]:
    for server in servers(environment):
        listed = [text(entry, "name") for entry in server.files]
        for name, model in server.models.items():
            archive = text(model, "marName")
            # What is UNSET has a placeholder in one and is literal in the other.
            named, _, unset = archive.partition("UNSET")
            if archive not in listed and not (
                unset and any(each.startswith(named) for each in listed)
            ):
                message = f"{name} is {archive}, which is not among modelStore.files"
                yield server.problem(message, "model_snapshot")
