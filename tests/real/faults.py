"""Pods whose model has faults, what the scenarios of probes begin with, and words about a pod."""

import time
from collections.abc import Mapping
from pathlib import Path

from harness.core.git import Changes
from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.local_cluster.real import release
from tests.real.pods import NAME, Pods
from tests.support.processes import eventually

HANDLER = Path(__file__).with_name("fault_handler.py")
# How long TorchServe tries to start a worker again: 300 s where a model does not say it.
_SETTINGS = "maxRetryTimeoutInSec: 90\n"
_VERSION = "faulty"
_SEEN = 120.0  # seconds from a commit until its pod runs; 5 on a quiet machine


def changes(pods: Pods, values: Mapping[str, object] | None = None) -> Changes:
    """The files of a release whose model has faults."""
    settings = pods.cluster.folder / "model-config.yaml"
    settings.write_text(_SETTINGS)
    release.pack(pods.cluster, _VERSION, HANDLER, "--config-file", str(settings))
    return pods.release(_VERSION, values, HANDLER)


def begin(pods: Pods) -> None:
    """Have two pods with the model that has faults, neither of which was ever restarted."""
    for each in pods.servers():
        if not _is_fresh(each):
            pods.cluster.api.delete(kinds.POD, text(each, "metadata", "name"), NAME)
    before = _helm_release(pods)
    good = pods.cluster.bare.commit(changes(pods), "No fault")
    pods.request()
    if not _is_applied(before):
        # helm-controller would wait for what the last fault left unready as long as a release may
        # take. Begun again, it does what it is asked now.
        generation = dig(before, "metadata", "generation")
        eventually(lambda: dig(_helm_release(pods), "metadata", "generation") != generation, _SEEN)
        pods.cluster.kill("helm-controller")
    pods.follow(good)


def commit(pods: Pods, fault: Changes) -> str:
    """Commit without waiting until it is Ready; the first new pod, once its container runs."""
    before = set(names(pods))
    pods.cluster.bare.commit(fault, "A fault")
    pods.request()

    def new() -> str:
        running = (text(each, "metadata", "name") for each in pods.servers() if _has_run(each))
        return next((name for name in running if name not in before), "")

    return eventually(new, _SEEN)


def names(pods: Pods) -> list[str]:
    """Of the servers' pods."""
    return sorted(text(each, "metadata", "name") for each in pods.servers())


def first(pods: Pods) -> str:
    """The name of one of them."""
    return names(pods)[0]


def waits_for(pod: Value) -> str:
    """Why its container waits to be started, if it does."""
    return text(_container(pod), "state", "waiting", "reason")


def last_words(pod: Value) -> str:
    """What its container wrote when it last ended, for whoever describes the pod."""
    return text(_container(pod), "lastState", "terminated", "message")


def pause(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)


def _helm_release(pods: Pods) -> Value:
    return pods.cluster.api.get(kinds.HELM_RELEASE, NAME, kinds.FLUX_NAMESPACE) or {}


def _is_applied(helm_release: Value) -> bool:
    return any(
        text(each, "type") == "Ready" and text(each, "status") == "True"
        for each in items(helm_release, "status", "conditions")
    )


def _is_fresh(pod: Value) -> bool:
    return text(pod, "status", "phase") != "Failed" and not dig(_container(pod), "restartCount")


def _has_run(pod: Value) -> bool:
    return bool(dig(_container(pod), "state", "running") or dig(_container(pod), "restartCount"))


def _container(pod: Value) -> object:
    return next(iter(items(pod, "status", "containerStatuses")), {})
