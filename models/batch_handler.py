"""What every handler here shares: one bad input fails alone, the rest of its batch is answered.

TorchServe calls ``initialize`` once in each worker and then ``handle`` for each batch. A handler
says how to load, what one decoded input is, and how to answer many at once.
"""

import os
from abc import ABC, abstractmethod
from pathlib import Path

import torch


class BadInputError(ValueError):
    """The request cannot be answered, and its sender can read why."""


class BatchHandler(ABC):
    """Loads in fp32 on the worker's GPU, else on the CPU, and answers once it is warm."""

    device: torch.device

    @abstractmethod
    def load(self, weights: Path) -> None:
        """Load the model from its serialized file; the archive lies unpacked around it."""

    @abstractmethod
    def decode(self, body: bytes) -> object:
        """One input from one request, or BadInputError."""

    @abstractmethod
    def example(self) -> object:
        """A decoded input to warm up with."""

    @abstractmethod
    def predict(self, inputs: list) -> list:
        """An answer for each input, ready for JSON."""

    def initialize(self, context) -> None:
        # A worker is one core: more workers use more of them, and do not fight over threads.
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        torch.backends.cudnn.allow_tf32 = False
        gpu = context.system_properties.get("gpu_id")
        use_gpu = gpu is not None and torch.cuda.is_available()
        self.device = torch.device(f"cuda:{gpu}" if use_gpu else "cpu")
        folder = Path(context.system_properties["model_dir"])
        self.load(folder / context.manifest["model"]["serializedFile"])
        self._warm_up(context.system_properties.get("batch_size") or 1)

    def handle(self, requests: list, context) -> list:
        answers: list = [None] * len(requests)
        inputs = {}
        for index, request in enumerate(requests):
            context.set_response_content_type(index, "application/json")
            try:
                inputs[index] = self.decode(_body(request))
            except BadInputError as error:
                context.set_response_status(400, "Bad Request", index)
                answers[index] = {"code": 400, "type": "BadInput", "message": str(error)}
        if inputs:
            with torch.inference_mode():
                predicted = self.predict(list(inputs.values()))
            for index, answer in zip(inputs, predicted, strict=True):
                answers[index] = answer
        return answers

    def _warm_up(self, batch_size: int) -> None:
        # Twice: the first call chooses kernels and plans memory, the second runs what it chose.
        with torch.inference_mode():
            for size in sorted({1, batch_size}) * 2:
                self.predict([self.example()] * size)


def _body(request: dict) -> bytes:
    body = request.get("data") or request.get("body")
    if not isinstance(body, (bytes, bytearray)):
        raise BadInputError("send the file's bytes as the body, or as the form field 'data'")
    return bytes(body)
