"""The keys of model-config.yaml that TorchServe 0.12 and its own handlers read.

Apart from harness.models.config, because ``harness check`` looks for other keys without paying
for pydantic's import. Sources: ModelConfig.java, ts/torch_handler and ts/handler_utils of 0.12.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.suggest import did_you_mean
from harness.core.values import KeyPath, mapping

WORKERS = (
    "minWorkers",
    "maxWorkers",
    "batchSize",
    "maxBatchDelay",
    "responseTimeout",
    "startupTimeout",
)
"""What an environment decides too: in model.yaml they are the defaults of ``serving``."""

FRONTEND = (
    "asyncCommunication",
    "clientTimeoutInMills",
    "continuousBatching",
    "deviceIds",
    "deviceType",
    "jobQueueSize",
    "maxNumSequence",
    "maxRetryTimeoutInSec",
    "maxSequenceJobQueueSize",
    "parallelLevel",
    "parallelType",
    "sequenceBatching",
    "sequenceMaxIdleMSec",
    "sequenceTimeoutMSec",
    "torchrun",
    "useJobTicket",
    "useVenv",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What TorchServe reads of a key; anything else it logs and leaves out."""

    type: type | tuple[type, ...]
    words: str


NUMBER = Kind(int, "a whole number")
_BOOLEAN = Kind(bool, "true or false")
_TEXT = Kind(str, "a text")
KINDS = {
    **dict.fromkeys((*WORKERS, *FRONTEND), NUMBER),
    **dict.fromkeys(
        ("asyncCommunication", "continuousBatching", "sequenceBatching", "useJobTicket", "useVenv"),
        _BOOLEAN,
    ),
    **dict.fromkeys(("deviceType", "parallelType"), _TEXT),
    "deviceIds": Kind(list, "a list"),
    "torchrun": Kind(dict, "a mapping"),
}
HANDLERS = ("dali", "deepspeed", "handler", "micro_batching", "pippy", "pt2")
TORCHRUN = (
    "OMP_NUMBER_THREADS",
    "monitor-interval",
    "nnodes",
    "node-rank",
    "nproc-per-node",
    "rdzv-backend",
    "rdzv-conf",
    "rdzv-endpoint",
)


def unknown(config: object) -> Iterator[tuple[KeyPath, str]]:
    """The keys of a model's ``config`` that TorchServe does not read, and what that means."""
    known = (*WORKERS, *FRONTEND, *HANDLERS)
    for key in mapping(config):
        if key not in known:
            reads = "only a handler of your own can read it: TorchServe does not"
            yield (key,), f"{key}: {reads}{did_you_mean(key, known)}"
    for key in mapping(config, "torchrun"):
        if key not in TORCHRUN:
            yield ("torchrun", key), f"torchrun.{key}: ignored{did_you_mean(key, TORCHRUN)}"
