"""Every key of config.properties: what becomes of it, and which of its values TorchServe refuses.

Source: ``org.pytorch.serve.util.ConfigManager`` of TorchServe 0.12 and its callers; what refuses to
start was tried (tests/testdata/import/verdicts.json).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.core.suggest import did_you_mean
from harness.snapshot import server

KNOWN = frozenset({*server.FIELDS.values(), *server.DECIDED, "tsConfigFile", "version"})
"""Every key that TorchServe 0.12 reads."""


class Outcome(StrEnum):
    """What becomes of a key."""

    CARRIED = "carried"
    ELSEWHERE = "carried elsewhere"
    NOTHING = "no effect"
    LOST = "lost, and it breaks"


@dataclass(frozen=True, slots=True)
class Place:
    """What becomes of a key, and where that is or what it breaks."""

    outcome: Outcome
    text: str


def _elsewhere(text: str) -> Place:
    return Place(Outcome.ELSEWHERE, text)


_MODELS = _elsewhere("each model's own settings under `models:`")
_CHART = _elsewhere("the chart: its ports and paths are the same everywhere")
_TLS = _elsewhere(
    "the gateway terminates TLS, with a certificate of cert-manager's (docs/gateway.md)"
)
_TOKENS = _elsewhere("the gateway authenticates clients: one token for all pods (docs/gateway.md)")
_METRICS = _elsewhere("the launcher passes the metrics on, in Prometheus' format, port 8090")
_EXPORTERS = _elsewhere("the node's and the GPU's exporters: each sample would start a process")
_GIT = _elsewhere("Git: a model is added or changed by a commit (docs/snapshot.md)")

PLACES: Mapping[str, Place] = {
    **{key: Place(Outcome.CARRIED, f"server.{name}") for name, key in server.FIELDS.items()},
    **dict.fromkeys(
        (
            *("inference_address", "management_address", "metrics_address", "model_store"),
            *("grpc_inference_address", "grpc_management_address"),
            *("grpc_inference_port", "grpc_management_port"),
        ),
        _CHART,
    ),
    "python": _elsewhere("the image: the interpreter of its virtual environment"),
    "model_server_home": _elsewhere("the launcher: where the image has TorchServe"),
    "disable_token_authorization": _TOKENS,
    "token_expiration_min": _TOKENS,
    "enable_model_api": _GIT,
    "allowed_urls": _elsewhere("Git: no archive comes from a URL at run time; allowed_urls=none"),
    "use_env_allowed_urls": _elsewhere("Git: no archive comes from a URL at run time"),
    "launcher_latency_bounds": _elsewhere("the SLOs of loadtest.yaml, and latencyBounds"),
    "metrics_mode": _METRICS,
    "enable_metrics_api": _METRICS,
    "disable_system_metrics": _EXPORTERS,
    "system_metrics_cmd": _EXPORTERS,
    "metric_time_interval": _EXPORTERS,
    "async_logging": _elsewhere("the launcher: always on, set before log4j starts"),
    "install_py_dep_per_model": _elsewhere(
        "the image: a package that an archive needs is named in models/<name>/requirements.in"
    ),
    "load_models": _elsewhere("`models:` lists what is served"),
    "models": _MODELS,
    "model_snapshot": _MODELS,
    "default_workers_per_model": _MODELS,
    "default_response_timeout": _MODELS,
    "default_startup_timeout": _MODELS,
    **dict.fromkeys(
        ("keystore", "keystore_pass", "keystore_type", "certificate_file", "private_key_file"), _TLS
    ),
    "enable_grpc_ssl": _TLS,
    "enable_envvars_config": _elsewhere(
        "this import: the variables were read; here no variable overrides the reviewed file"
    ),
    "workflow_store": Place(
        Outcome.NOTHING,
        "no workflow starts from it: they are registered at run time (docs/import.md)",
    ),
    "tsConfigFile": Place(Outcome.NOTHING, "TorchServe overwrites it when it starts"),
    "version": Place(Outcome.NOTHING, "the server would report this text as its own version"),
    "plugins_path": Place(
        Outcome.LOST, "plugins are left out: their endpoints and serializers are gone"
    ),
    "cpp_log_config": Place(Outcome.NOTHING, "the image has no C++ backend whose log it would set"),
}

_WISHED_FOR = {
    "NUM_WORKERS": "minWorkers and maxWorkers of each model decide",
    "snapshot_store": "only 0.1 knew it",
    "batch_size": "batchSize of each model decides: models={…} or model-config.yaml",
    "max_batch_delay": "maxBatchDelay of each model decides",
    "min_workers": "minWorkers of each model decides, or default_workers_per_model",
    "max_workers": "maxWorkers of each model decides, or default_workers_per_model",
    "workers": "minWorkers and maxWorkers of each model decide, or default_workers_per_model",
    "response_timeout": "did you mean default_response_timeout?",
    "startup_timeout": "did you mean default_startup_timeout?",
    "disable_token_auth": "did you mean disable_token_authorization?",
    "enable_token_auth": "did you mean disable_token_authorization?",
    "default_log_level": "log4j's configuration decides, and that is the launcher's",
    "default_device": "deviceType of each model decides, or number_of_gpu",
    "gpu_id": "deviceIds of each model decides, or number_of_gpu",
    "metrics_format": "did you mean metrics_mode?",
    "grpc_max_message_size": "did you mean max_request_size?",
    "max_batch_size": "batchSize of each model decides",
    "default_batch_size": "batchSize of each model decides",
    "default_max_batch_delay": "maxBatchDelay of each model decides",
    "model_config": "models={…}, or the model-config.yaml in an archive, has a model's settings",
    "whitelist": "did you mean allowed_urls?",
    "gpu": "number_of_gpu is the key",
    "log_level": "log4j's configuration decides, and that is the launcher's",
    "log_config": "--log-config names it on the command line; the launcher has one of its own",
    "handler": "the manifest of each archive names its handler",
    "port": "inference_address has it",
}


def place(key: str) -> Place:
    """What becomes of a key."""
    if known := PLACES.get(key):
        return known
    if nearest := _WISHED_FOR.get(key):
        return Place(Outcome.NOTHING, f"TorchServe 0.12 does not know it: {nearest}")
    meant = did_you_mean(key.replace("-", "_").lower(), KNOWN)
    return Place(Outcome.NOTHING, f"TorchServe 0.12 does not know it{meant}")


SECRET = re.compile(r"pass|secret|token|credential|private|(api|access)_?key|auth", re.IGNORECASE)
"""Names whose values are never printed."""

_SHORT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)
_COUNT = (0, 2**31 - 1)
_POSITIVE = (1, 2**31 - 1)
_AGE = (1, 2**63 - 1)
NUMBERS: Mapping[str, tuple[int, int]] = {
    "number_of_gpu": _SHORT,
    "default_workers_per_model": _SHORT,
    "number_of_netty_threads": _COUNT,
    "netty_client_threads": _COUNT,
    "job_queue_size": _POSITIVE,
    "max_request_size": _COUNT,
    "max_response_size": _SHORT,
    "default_response_timeout": _SHORT,
    "default_startup_timeout": _SHORT,
    "unregister_model_timeout": _SHORT,
    "metric_time_interval": _POSITIVE,
    "io_ratio": _SHORT,
    "initial_worker_port": _SHORT,
    "initial_distribution_port": _SHORT,
    "grpc_inference_port": (0, 65535),
    "grpc_management_port": (0, 65535),
    "grpc_inference_max_connection_age_ms": _AGE,
    "grpc_inference_max_connection_age_grace_ms": (0, _LONG[1]),
    "grpc_management_max_connection_age_ms": _AGE,
    "grpc_management_max_connection_age_grace_ms": (0, _LONG[1]),
}
"""Whole numbers, and the range in which TorchServe starts with them."""

LAZY = {
    "job_queue_size": "a model is registered",
    "max_response_size": "a worker starts",
    "default_response_timeout": "a model is registered",
    "default_startup_timeout": "a model is registered",
    "unregister_model_timeout": "a model is stopped",
    "initial_worker_port": "a worker starts",
    "initial_distribution_port": "torchrun starts a worker",
}
"""Numbers that TorchServe reads late: without a model it starts with anything."""

BOOLEANS = frozenset(
    {
        *("limit_max_image_pixels", "decode_input_request", "ts_open_inference_protocol"),
        *("model_metrics_auto_detect", "cpu_launcher_enable", "ipex_enable", "ipex_gpu_enable"),
        *("install_py_dep_per_model", "prefer_direct_buffer", "use_native_io", "debug"),
        *("disable_token_authorization", "enable_model_api", "enable_metrics_api"),
        *("disable_system_metrics", "async_logging", "enable_grpc_ssl", "enable_envvars_config"),
        "use_env_allowed_urls",
    }
)
ADDRESSES = {"inference_address", "management_address", "metrics_address"}
_ADDRESS = re.compile(r"(?:https?://[^:^/]+(?::([0-9]+))?)|(?:unix:/.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]+")
_QUOTES = "has quotes, which are part of its value: remove them"
_COMMENT = re.compile(r"\s+[#!/]|;")


def fault(key: str, text: str) -> str:
    """Why TorchServe does not start with a value, or nothing if it does."""
    if key in NUMBERS:
        return _number_fault(key, text)
    if key in ADDRESSES:
        return _address_fault(text)
    if key == "model_store" and text[:1] in ("'", '"'):
        return _QUOTES
    if key in ("grpc_inference_address", "grpc_management_address") and "://" in text:
        return "is a host or an address alone, without http://"
    if key == "blacklist_env_vars":
        try:
            re.compile(text)
        except re.error as error:
            return f"is not a regular expression: {error}"
    return ""


def read_as(key: str, text: str) -> str:
    """What TorchServe takes an odd value for, where that is not what it looks like."""
    if key in BOOLEANS and text.lower() not in ("true", "false"):
        blank = " (a space behind it counts)" if text.strip().lower() == "true" else ""
        return f"TorchServe reads {text!r} as false{blank}"
    return ""


def as_bool(text: str) -> bool:
    """As ``Boolean.parseBoolean`` reads it."""
    return text.lower() == "true"


def _number_fault(key: str, text: str) -> str:
    low, high = NUMBERS[key]
    if not _NUMBER.fullmatch(text):
        if not text:
            return "has no value: remove the line for TorchServe's default"
        if "://" in text:
            return "is a port: a number, without http:// and address"
        if text[0] in "'\"":
            return _QUOTES
        if _COMMENT.search(text):
            return "has a comment behind its value, which is part of it: give it a line of its own"
        if text.strip() != text:
            return "has a space behind its value, which is part of it: remove it"
        return f"is not a whole number: {text!r}"
    if int(text) < low:
        return f"is {text}: at least {low:,}"
    if int(text) > high:
        return f"is {text}: at most {high:,}"
    return ""


def _address_fault(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if not match:
        if _COMMENT.search(text):
            return "has a comment behind its value, which is part of it: give it a line of its own"
        if text.strip() != text:
            return "has a space behind its value, which is part of it: remove it"
        if text[:1] in "'\"":
            return _QUOTES
        return "is not an address: http://HOST:PORT, without a slash at its end"
    if match[1] and int(match[1]) >= 65535:
        return f"has the port {match[1]}: at most 65534"
    return ""
