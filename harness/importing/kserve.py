"""KServe's InferenceService: what its predictor, and the runtime behind that, are started with."""

from collections.abc import Iterator, Mapping, Sequence

from harness.core.errors import Location
from harness.core.yamlfile import Document
from harness.importing import pods
from harness.importing.source import Remark, Setting

Path_ = tuple[str | int, ...]

COMMAND = ("torchserve", "--start", "--model-store=/mnt/models/model-store")
"""Of the runtime kserve-torchserve, without --ts-config, which ``storageUri`` stands for; a
predictor's args stand behind it.
"""
_MODEL = ("modelFormat", "storageUri")  # a predictor, in both of its forms
_OTHERS = {
    *("triton", "sklearn", "xgboost", "lightgbm", "onnx", "pmml", "paddle", "mlflow"),
    *("huggingface", "tensorflow"),
}
_ENVELOPES = {"v1": "kserve", "v2": "kservev2", "grpc-v2": "kservev2"}
_PLACES = {
    "canaryTrafficPercent": "the chart's canary: steps, each judged by answers (docs/canary.md)",
    "containerConcurrency": "job_queue_size: what it cannot hold is answered 503",
    "timeout": "responseTimeout of each model, and requestTimeout of the gateway (130 s)",
    "scaleTarget": "the chart's autoscaling.keda: requests for each slot (docs/autoscaling.md)",
    "scaleMetric": "the chart's autoscaling.keda: requests for each slot (docs/autoscaling.md)",
    "batcher": "batchSize and maxBatchDelay of each model",
    "deploymentStrategy": "the chart's rollout: one pod at a time, proved ready",
    "runtime": "TorchServe 0.12; add the ServingRuntime as a source, if it is yours",
    "runtimeVersion": "TorchServe 0.12 here",
    "protocolVersion": "`protocols` of serving.yaml: kserve-v1 or oip (docs/gateway.md)",
}
_LOST = {
    "logger": "nothing here keeps requests and answers: a handler may, or a mirror at the gateway",
    "transformer": "not imported: it stays yours, between the clients and the gateway",
    "explainer": "not imported: it stays yours, and calls the model at the gateway",
}


def is_model(node: Mapping[str, object]) -> bool:
    """Whether a mapping is the model of a predictor."""
    return any(key in node for key in _MODEL)


def may_serve(node: Mapping[str, object], where: Path_) -> bool:
    """Whether it is not a model of another server."""
    form = node.get("modelFormat")
    name = str(form.get("name")) if isinstance(form, Mapping) else ""
    other = {name, str(where[-1]) if where else ""} & _OTHERS
    return not other and "transformer" not in where


def is_runtime(node: object) -> bool:
    """Whether a document is a runtime, which an InferenceService next to it uses."""
    return isinstance(node, Mapping) and str(node.get("kind")).endswith("ServingRuntime")


def variables(
    document: Document, where: Path_, model: Mapping[str, object], known: Sequence[Setting]
) -> list[Setting]:
    """What the runtime sets for a predictor."""
    if any(each.key == "TS_SERVICE_ENVELOPE" for each in known):
        return []
    protocol = str(model.get("protocolVersion", "v1"))
    at = document.at((*where, "protocolVersion") if "protocolVersion" in model else where)
    return [Setting("TS_SERVICE_ENVELOPE", _ENVELOPES.get(protocol, "kserve"), at)]


def remarks(
    document: Document, path: Path_, predictor: Mapping[str, object], model: Mapping[str, object]
) -> Iterator[Remark]:
    """What becomes of a predictor and of what stands next to it."""
    around = document.value
    for key in path[:-1]:
        around = around[key]  # type: ignore[index]
    if isinstance(around, Mapping):
        for key in ("transformer", "explainer"):
            if around.get(key):
                yield Remark(key, _LOST[key], document.at((*path[:-1], key)), lost=True)
    for key, node in predictor.items():
        at = document.at((*path, key))
        if key in ("model", "pytorch", "volumes") or node is None:
            continue
        if key in ("minReplicas", "maxReplicas"):
            at_least = max(node, 1) if isinstance(node, int) else node
            yield pods.value(f"autoscaling.{key}", at_least, at)
        elif key in _PLACES or key in _LOST:
            yield _place_of(key, at)
        else:
            yield from pods.pod(document, path, {key: node})
    if is_model(model):
        name = next((key for key in ("model", "pytorch") if predictor.get(key) is model), "model")
        yield from _model(document, (*path, name), model)


def storage(key: str, at: Location) -> Remark:
    """The address that KServe fetches files from."""
    why = "KServe fetches config/ and model-store/ from there: add both as sources"
    return Remark(key, why, at, lost=True, fetched=True)


def _place_of(key: str, at: Location) -> Remark:
    return Remark(key, _LOST.get(key) or _PLACES[key], at, lost=key in _LOST)


def _model(document: Document, where: Path_, model: Mapping[str, object]) -> Iterator[Remark]:
    for key, node in model.items():
        at = document.at((*where, key))
        if key in ("storageUri", "storage") and node:
            yield storage(key, at)
        elif key in _PLACES:
            yield _place_of(key, at)
        elif key != "modelFormat":
            yield from pods.container(document, where, {key: node})
