"""A model's ``config``: the model-config.yaml of its archive.

Every key passes, at any depth, since a handler may read what it likes; what TorchServe 0.12 itself
and its own handlers read is checked, because they ignore, or fail on, a value of another type.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from harness.core.document import Camel, Strict
from harness.models import config_keys

INT_MAX = 2**31 - 1  # TorchServe keeps each of these in a Java int
Count = Annotated[int, Field(ge=0, le=INT_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT_MAX)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Serving(Camel):
    """How TorchServe runs a model, unless an environment says otherwise.

    Keys and units are those of TorchServe's model_snapshot.
    """

    min_workers: Count = 1  # 0: nothing is answered until somebody scales it
    max_workers: Count = 1
    batch_size: Count = 1  # TorchServe takes 0 for 1
    max_batch_delay: Count = 5  # ms that a batch waits for another request
    response_timeout: Positive = 30  # s until a worker that does not answer is killed
    startup_timeout: Positive = 120  # s for a worker to load the model

    def over(self, defaults: Mapping[str, int]) -> Self:
        """These settings, and ``defaults`` (by key) for what they leave open."""
        settings = self.model_dump(by_alias=True, exclude_unset=True)
        return self.model_validate({**defaults, **settings})

    @model_validator(mode="after")
    def _workers_in_order(self) -> Self:
        if self.min_workers > self.max_workers:
            raise ValueError(f"minWorkers {self.min_workers} > maxWorkers {self.max_workers}")
        return self


class Section(Strict):
    """A part of model-config.yaml whose other keys pass."""

    model_config = ConfigDict(extra="allow")


class TorchRun(Section):
    """How torchrun starts the processes of one worker."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    nnodes: Positive | None = None
    nproc_per_node: Positive | None = None
    node_rank: Count | None = None
    monitor_interval: Positive | None = None
    rdzv_backend: str | None = None
    rdzv_endpoint: str | None = None
    rdzv_conf: str | None = None
    omp_number_threads: Annotated[Positive | None, Field(alias="OMP_NUMBER_THREADS")] = None


class Compile(Section):
    """``torch.compile``'s arguments, and whether to call it: BaseHandler fails without that."""

    enable: bool
    backend: str | None = None
    mode: str | None = None


class Pt2(Section):
    """What BaseHandler does with PyTorch 2."""

    compile: Compile | None = None
    export: Mapping[str, JsonValue] | None = None
    backend: str | None = None


class Parallelism(Section):
    """Threads of each step."""

    preprocess: Positive | None = None
    inference: Positive | None = None
    postprocess: Positive | None = None


class MicroBatching(Section):
    """A batch in parts, whose steps overlap."""

    micro_batch_size: Positive
    parallelism: Parallelism | None = None


class Pippy(Section):
    """Pipeline parallelism by PiPPy."""

    rpc_timeout: Count
    num_worker_threads: Positive
    input_names: tuple[str, ...]
    model_type: str
    chunks: Positive | None = None


class DeepSpeed(Section):
    """Files of the archive that DeepSpeed reads."""

    config: str | None = None
    checkpoint: str | None = None


class Dali(Section):
    """A pipeline of NVIDIA DALI."""

    batch_size: Positive
    num_threads: Positive
    device_id: Count
    seed: int
    pipeline_file: str | None = None


class Config(Camel):
    """model-config.yaml: what TorchServe reads only from inside the archive, and anything else.

    The worker counts, batch sizes and timeouts do not go into the archive: an environment decides
    them, and an archive must not change with them. Here they are what ``serving`` says.
    """

    model_config = ConfigDict(extra="allow")

    min_workers: Positive | None = None
    max_workers: Positive | None = None
    batch_size: Positive | None = None
    max_batch_delay: Count | None = None
    response_timeout: Positive | None = None
    startup_timeout: Positive | None = None

    device_type: Annotated[Literal["cpu", "gpu"] | None, BeforeValidator(_lower)] = None
    device_ids: tuple[Count, ...] | None = None
    parallel_type: Annotated[
        Literal["pp", "tp", "pptp", "custom"] | None, BeforeValidator(_lower)
    ] = None
    parallel_level: Count | None = None
    max_retry_timeout_in_sec: Count | None = None
    client_timeout_in_mills: Count | None = None
    job_queue_size: Count | None = None
    use_job_ticket: bool | None = None
    continuous_batching: bool | None = None
    sequence_batching: bool | None = None
    max_num_sequence: Positive | None = None
    max_sequence_job_queue_size: Positive | None = None
    sequence_max_idle_m_sec: Annotated[Count | None, Field(alias="sequenceMaxIdleMSec")] = None
    sequence_timeout_m_sec: Annotated[Count | None, Field(alias="sequenceTimeoutMSec")] = None
    async_communication: bool | None = None
    use_venv: bool | None = None
    torchrun: TorchRun | None = None
    pt2: Pt2 | str | None = None
    micro_batching: Annotated[MicroBatching | None, Field(alias="micro_batching")] = None
    pippy: Pippy | None = None
    deepspeed: DeepSpeed | None = None
    dali: Dali | None = None
    handler: Mapping[str, JsonValue] | None = None

    def archive_settings(self) -> dict[str, JsonValue]:
        """The content of the archive's model-config.yaml: what model.yaml says, and no more."""
        settings = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {key: settings[key] for key in settings if key not in config_keys.WORKERS}

    def workers(self) -> dict[str, int]:
        """What it says about ``serving``, by key."""
        settings = self.model_dump(by_alias=True, exclude_none=True)
        return {key: settings[key] for key in config_keys.WORKERS if key in settings}
