"""The settings of the whole server: a place for each key of config.properties that it may decide.

    server:
      numberOfGpu: 1
      jobQueueSize: 1000
      numberOfNettyThreads: 32
      maxRequestSize: 500000000   # what is left out is TorchServe's default
      properties: {my_plugin_key: "1"}

Names and units are TorchServe's (``org.pytorch.serve.util.ConfigManager`` of 0.12, in camelCase).
What is the same everywhere (ports, paths, switches) is not a setting: it is in ``config``, once;
what concerns one model is kept with the model.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from harness.core.document import Camel
from harness.core.form import Form
from harness.models.catalog import INT_MAX, Positive
from harness.snapshot.routes import Cors

METRICS_CONFIG = "/etc/torchserve/metrics.yaml"
"""Where the pods find the file that ``metricsConfig`` names."""

LONG_MAX = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=INT_MAX)]
Milliseconds = Annotated[int, Field(ge=0, le=LONG_MAX)]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, StringConstraints(min_length=1)]
FileName = Annotated[
    str, Form(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.ya?ml", "the name of a YAML file, as metrics.yaml")
]

_DECIDED = {
    "the chart and the launcher say where things are": """
        inference_address management_address metrics_address grpc_inference_address
        grpc_inference_port grpc_management_address grpc_management_port model_store
        workflow_store python model_server_home""",
    "the gateway authenticates and terminates TLS": """
        disable_token_authorization token_expiration_min keystore keystore_pass keystore_type
        certificate_file private_key_file enable_grpc_ssl""",
    "Git decides what is served": """
        enable_model_api allowed_urls use_env_allowed_urls enable_envvars_config""",
    "the launcher passes the metrics on": "metrics_mode enable_metrics_api disable_system_metrics",
    "`models:` lists what is served, and how": """
        model_snapshot models load_models default_workers_per_model default_response_timeout
        default_startup_timeout""",
    "the launcher sets it where it has an effect": "async_logging",
    "the launcher's class path has no plugins": "plugins_path",
}
DECIDED = {key: why for why, keys in _DECIDED.items() for key in keys.split()}
"""What the repository decides, and by what: no key for ``properties``."""


class ServerSettings(Camel):
    """The settings of the whole process; what is left out is TorchServe's own default."""

    number_of_gpu: Count
    """Whole GPUs of a pod; TorchServe spreads the workers over them, in turn."""
    job_queue_size: Positive
    """Requests of one model that may wait; the next one is answered 503."""
    number_of_netty_threads: Count
    """Threads that read requests and write answers; 0: as many as Netty thinks right."""
    netty_client_threads: Count | None = None
    """Threads that talk to the workers; 0: as many as Netty thinks right."""

    max_request_size: Positive | None = None
    """Bytes of the largest request, over REST and gRPC (6,553,500 by default)."""
    max_response_size: Positive | None = None
    """Bytes of the largest answer of a worker (6,553,500 by default)."""
    limit_max_image_pixels: bool | None = None
    """False: Pillow decodes images of any size."""
    decode_input_request: bool | None = None
    """False: the handlers get JSON bodies and text as bytes, not decoded."""
    service_envelope: Text | None = None
    """What unwraps requests before the handler: body, json, kserve or kservev2."""
    default_service_handler: Text | None = None
    """The handler of an archive that names none."""

    cors_allowed_origin: Text | None = None
    cors_allowed_methods: Text | None = None
    cors_allowed_headers: Text | None = None
    ts_open_inference_protocol: bool | None = None
    """True: the Open Inference Protocol (v2) is answered over gRPC too."""
    ts_header_key_sequence_id: Text | None = None
    ts_header_key_sequence_start: Text | None = None
    ts_header_key_sequence_end: Text | None = None
    """The headers of a stateful model's requests (ts_request_sequence_id, _start, _end)."""
    grpc_inference_max_connection_age_ms: Milliseconds | None = None
    grpc_inference_max_connection_age_grace_ms: Milliseconds | None = None
    grpc_management_max_connection_age_ms: Milliseconds | None = None
    grpc_management_max_connection_age_grace_ms: Milliseconds | None = None
    """How long a gRPC connection may live, and then for calls in flight. Default: no limit."""

    metrics_config: FileName | None = None
    """A file next to serving.yaml: the metrics that TorchServe and the handlers may emit."""
    model_metrics_auto_detect: bool | None = None
    """True: a handler's metric needs no entry in the metrics' file."""
    system_metrics_cmd: Text | None = None
    metric_time_interval: Positive | None = None
    """For the system's metrics, which are off here: the node's exporter knows them better."""

    cpu_launcher_enable: bool | None = None
    """True: torch.backends.xeon.run_cpu starts the workers and pins them to cores."""
    cpu_launcher_args: Text | None = None
    ipex_enable: bool | None = None
    ipex_gpu_enable: bool | None = None
    """True: for intel_extension_for_pytorch, which has to be added to the image."""
    install_py_dep_per_model: bool | None = None
    """True: pip installs an archive's requirements at each start. The pods need a way out to an
    index for that; packages in the image need none (models/<name>/requirements.in).
    """

    vmargs: Text | None = None
    """More options of the JVM, such as -Xmx4g; by default a quarter of the memory is heap."""
    prefer_direct_buffer: bool | None = None
    use_native_io: bool | None = None
    io_ratio: Annotated[int, Field(ge=1, le=100)] | None = None
    """Netty's own: direct buffers, epoll, the share of its time for input and output."""
    blacklist_env_vars: Text | None = None
    """A regular expression: variables that the workers do not get."""
    initial_worker_port: Port | None = None
    initial_distribution_port: Port | None = None
    """The first of the workers' sockets (9000), and of torchrun's ports (29500)."""
    unregister_model_timeout: Count | None = None
    """Seconds to wait for a worker that is stopped (120 by default)."""
    debug: bool | None = None
    """True: no timeouts, and workers that share a port, for a debugger."""
    cpp_log_config: Text | None = None
    """For the C++ backend, which the image does not have."""

    properties: Mapping[Text, str] = Field(default_factory=dict)
    """Keys that are not above, in TorchServe's own spelling: written as they are."""

    @model_validator(mode="after")
    def _properties_are_free(self) -> Self:
        for key in self.properties:
            name = camel(key)
            if name in FIELDS:
                raise ValueError(f"properties.{key}: write it as {name}")
            if why := DECIDED.get(key):
                raise ValueError(f"properties.{key} cannot be set: {why}")
        return self

    @property
    def cors(self) -> Cors | None:
        """What the gateway answers to browsers of other origins; None where none is allowed.

        The gateway asks each request for a token, so a browser has to be allowed to send one.
        """
        if not self.cors_allowed_origin:
            return None
        headers = _split_list(self.cors_allowed_headers) or ("authorization", "content-type")
        lacking = not {"*", "authorization"} & {header.lower() for header in headers}
        return Cors(
            origins=_split_list(self.cors_allowed_origin),
            methods=_split_list(self.cors_allowed_methods),
            headers=headers + ("authorization",) * lacking,
        )

    def config_properties(self) -> dict[str, str]:
        """The keys and values of config.properties, in its order."""
        values = self.model_dump(exclude_none=True, exclude={"properties"})
        if self.metrics_config:
            values["metrics_config"] = METRICS_CONFIG
        return {key: _text(each) for key, each in values.items()} | dict(self.properties)


FIELDS = {
    field.alias or name: name
    for name, field in ServerSettings.model_fields.items()
    if name != "properties"
}
"""Each setting's key in serving.yaml, and in config.properties."""


def _split_list(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in (text or "").split(","))))


def camel(key: str) -> str:
    """The key of serving.yaml for one of config.properties."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), key)


def _text(setting: object) -> str:
    return str(setting).lower() if isinstance(setting, bool) else str(setting)
