"""A recording from a request: one channel, between -1 and 1."""

import io
import wave
from dataclasses import dataclass

import torch
from batch_handler import BadInputError

RATES = (8_000, 16_000)  # Hz that the network was trained on
WIDTH = 2  # bytes a sample


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples, and how many of them are a second."""

    samples: torch.Tensor
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def decode(body: bytes) -> Recording:
    """A WAV file; several channels become their mean.

    Raises:
        BadInputError: it is none, holds no sample, or has another rate or width.
    """
    try:
        with wave.open(io.BytesIO(body)) as file:
            channels, width, rate = file.getparams()[:3]
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise BadInputError(f"not a WAV file: {str(error) or 'it ends too soon'}") from error
    if rate not in RATES or width != WIDTH:
        raise BadInputError(f"{rate} Hz, {8 * width} bit: send 8,000 or 16,000 Hz, 16 bit")
    whole = len(frames) - len(frames) % (width * channels)
    if not whole:
        raise BadInputError("a recording without a sample")
    pcm = torch.frombuffer(bytearray(frames[:whole]), dtype=torch.int16)
    return Recording(pcm.view(-1, channels).float().mean(dim=1) / 32_768, rate)
