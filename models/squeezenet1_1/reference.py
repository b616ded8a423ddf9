"""The right answers, by torchvision's own preprocessing and one picture at a time."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1


def load(folder: Path) -> Callable[[bytes], object]:
    """``folder`` is the unpacked archive."""
    network = squeezenet1_1()
    network.load_state_dict(torch.load(folder / "squeezenet1_1.pth", weights_only=True))
    network.eval()
    preprocess = SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms()
    labels = json.loads((folder / "labels.json").read_bytes())

    @torch.no_grad()
    def answer(body: bytes) -> object:
        picture = preprocess(Image.open(io.BytesIO(body)).convert("RGB"))
        probabilities = network(picture.unsqueeze(0))[0].softmax(dim=0)
        best = probabilities.argsort(descending=True)[:5].tolist()
        return {
            "classes": [
                {"label": labels[i], "class": i, "probability": probabilities[i].item()}
                for i in best
            ]
        }

    return answer
