"""The three networks of MTCNN as one module, so that they have one state dict."""

import numpy as np
import torch
from facenet.mtcnn import ONet, PNet, RNet
from facenet.utils.detect_face import detect_face

# The defaults of facenet_pytorch.MTCNN, with which its weights are known to work.
SMALLEST_FACE = 20  # pixels
THRESHOLDS = [0.6, 0.7, 0.7]
PYRAMID_FACTOR = 0.709


class Detector(torch.nn.Module):
    """Proposes, refines and confirms boxes, each with a network of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.pnet = PNet(pretrained=False)
        self.rnet = RNet(pretrained=False)
        self.onet = ONet(pretrained=False)

    def forward(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes with confidence (n×5) and landmarks (n×5×2) for each of N×H×W×3 images."""
        boxes, points = detect_face(
            images,
            SMALLEST_FACE,
            self.pnet,
            self.rnet,
            self.onet,
            THRESHOLDS,
            PYRAMID_FACTOR,
            next(self.parameters()).device,
        )
        return list(zip(boxes, points, strict=True))
