"""Answers with its device and process, until a body ``break`` has broken its CUDA context."""

import os
from pathlib import Path

import torch
from batch_handler import BatchHandler
from network import One

MESSAGE = "CUDA error: device-side assert triggered"  # as PyTorch says it


class Breakable(BatchHandler):
    """A worker that is broken fails every request until its process ends."""

    def load(self, weights: Path) -> None:
        self.broken = False
        self.network = One()
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.network.eval().to(self.device)

    def example(self) -> bytes:
        return b""

    def decode(self, body: bytes) -> bytes:
        return body

    def predict(self, inputs: list[bytes]) -> list[dict]:
        if b"break" in inputs:
            self._break()
        if self.broken:
            raise RuntimeError(MESSAGE)
        value = (self.network.one * 2).item()  # waits for the device: a lost context raises here
        return [{"value": value, "device": str(self.device), "pid": os.getpid()} for _ in inputs]

    def _break(self) -> None:
        if self.device.type == "cuda":
            # An index out of bounds: the kernel's assertion fails, and with it the whole context.
            torch.zeros(1, device=self.device)[torch.tensor([7], device=self.device)].item()
        self.broken = self.device.type != "cuda"
