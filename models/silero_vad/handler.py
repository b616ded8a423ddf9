"""When somebody speaks in a recording: WAV in, start and end of each phrase in seconds out."""

from pathlib import Path

import recording
import torch
from batch_handler import BatchHandler
from recording import Recording
from utils_vad import get_speech_timestamps_from_probs

WINDOWS = {8_000: 256, 16_000: 512}  # Hz → samples that the network takes at once


class VoiceActivity(BatchHandler):
    """Runs recordings of the same rate in step; silence fills up the shorter ones."""

    def load(self, weights: Path) -> None:
        self.network = torch.jit.load(weights, map_location=self.device).eval()

    def example(self) -> Recording:
        return Recording(torch.zeros(16_000), 16_000)

    def decode(self, body: bytes) -> Recording:
        return recording.decode(body)

    def predict(self, inputs: list[Recording]) -> list[dict]:
        answers: list = [None] * len(inputs)
        for rate in {one.rate for one in inputs}:
            same = [index for index, one in enumerate(inputs) if one.rate == rate]
            samples = [inputs[index].samples for index in same]
            batch = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True).to(self.device)
            probabilities = self.network.audio_forward(batch, rate)
            for index, row in zip(same, probabilities, strict=True):
                answers[index] = _answer(inputs[index], row)
        return answers


def _answer(one: Recording, probabilities: torch.Tensor) -> dict:
    windows = -(-len(one.samples) // WINDOWS[one.rate])
    speech = get_speech_timestamps_from_probs(
        probabilities[:windows].tolist(),
        sampling_rate=one.rate,
        audio_length_samples=len(one.samples),
        return_seconds=True,
        time_resolution=3,
    )
    return {"seconds": round(one.seconds, 3), "speech": speech}
