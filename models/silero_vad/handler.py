"""When somebody speaks in a recording: WAV in, start and end of each phrase in seconds out."""

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import torch
from batch_handler import BadInputError, BatchHandler
from utils_vad import get_speech_timestamps_from_probs

WINDOWS = {8_000: 256, 16_000: 512}  # sampling rate in Hz → samples that the network takes at once


@dataclass(frozen=True, slots=True)
class Recording:
    """One channel, -1 to 1."""

    samples: torch.Tensor
    rate: int


class VoiceActivity(BatchHandler):
    """Runs recordings of the same rate in step; silence fills up the shorter ones."""

    def load(self, weights: Path) -> None:
        self.network = torch.jit.load(weights, map_location=self.device).eval()

    def example(self) -> Recording:
        return Recording(torch.zeros(16_000), 16_000)

    def decode(self, body: bytes) -> Recording:
        try:
            with wave.open(io.BytesIO(body)) as file:
                channels, width, rate = file.getparams()[:3]
                frames = file.readframes(file.getnframes())
        except (wave.Error, EOFError) as error:
            raise BadInputError(f"not a WAV file: {error or 'it ends too soon'}") from error
        if rate not in WINDOWS or width != 2:
            raise BadInputError(f"{rate} Hz, {8 * width} bit: send 8,000 or 16,000 Hz, 16 bit")
        whole = len(frames) - len(frames) % (width * channels)
        if not whole:
            raise BadInputError("a recording without a sample")
        pcm = torch.frombuffer(bytearray(frames[:whole]), dtype=torch.int16)
        return Recording(pcm.view(-1, channels).float().mean(dim=1) / 32768, rate)

    def predict(self, inputs: list[Recording]) -> list[dict]:
        answers: list = [None] * len(inputs)
        for rate in {recording.rate for recording in inputs}:
            same = [index for index, recording in enumerate(inputs) if recording.rate == rate]
            batch = torch.nn.utils.rnn.pad_sequence(
                [inputs[index].samples for index in same], batch_first=True
            )
            probabilities = self.network.audio_forward(batch.to(self.device), rate)
            for index, row in zip(same, probabilities, strict=True):
                answers[index] = _answer(inputs[index], row)
        return answers


def _answer(recording: Recording, probabilities: torch.Tensor) -> dict:
    length = len(recording.samples)
    windows = -(-length // WINDOWS[recording.rate])
    return {
        "seconds": round(length / recording.rate, 3),
        "speech": get_speech_timestamps_from_probs(
            probabilities[:windows].tolist(),
            sampling_rate=recording.rate,
            audio_length_samples=length,
            return_seconds=True,
            time_resolution=3,
        ),
    }
