"""Where the faces are in a photograph: box, confidence, eyes, nose and mouth, largest first."""

from pathlib import Path

import numpy as np
import photograph
import torch
from batch_handler import BatchHandler
from detector import Detector

LONGEST = 4_096  # pixels a side: the time grows with the area, and a time-out kills a worker
LANDMARKS = ("leftEye", "rightEye", "nose", "mouthLeft", "mouthRight")


class Faces(BatchHandler):
    """Runs pictures of the same size together, others one after another."""

    def load(self, weights: Path) -> None:
        self.detector = Detector()
        self.detector.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.detector.eval().to(self.device)

    def example(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)

    def decode(self, body: bytes) -> np.ndarray:
        return np.array(photograph.decode(body, LONGEST))

    def predict(self, inputs: list[np.ndarray]) -> list[dict]:
        answers: list = [None] * len(inputs)
        for shape in {image.shape for image in inputs}:
            same = [index for index, image in enumerate(inputs) if image.shape == shape]
            found = self.detector(np.stack([inputs[index] for index in same]))
            for index, (boxes, points) in zip(same, found, strict=True):
                answers[index] = {"faces": _faces(boxes, points)}
        return answers


def _faces(boxes: np.ndarray, points: np.ndarray) -> list[dict]:
    pairs = zip(boxes.astype(float).tolist(), points.astype(float).tolist(), strict=True)
    faces = [
        {
            "box": [round(edge, 2) for edge in box[:4]],
            "confidence": round(box[4], 5),
            "landmarks": {
                name: [round(x, 2), round(y, 2)]
                for name, (x, y) in zip(LANDMARKS, landmarks, strict=True)
            },
        }
        for box, landmarks in pairs
    ]
    return sorted(faces, key=_area, reverse=True)


def _area(face: dict) -> float:
    left, top, right, bottom = face["box"]
    return (right - left) * (bottom - top)
