"""What a text or file is, by the first and last bytes of its content."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from batch_handler import BadInputError, BatchHandler


class ContentType(BatchHandler):
    """Runs inputs of any length together: the network sees the same number of bytes of each."""

    def load(self, weights: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a worker is one core
        self.session = onnxruntime.InferenceSession(
            weights, options, providers=["CPUExecutionProvider"]
        )
        self.config = json.loads((weights.parent / "config.json").read_text())
        self.types = json.loads((weights.parent / "content_types.json").read_text())

    def handle(self, requests: list, context) -> list:
        return super().handle([{"body": _encoded(request)} for request in requests], context)

    def example(self) -> bytes:
        return b"def f(x): return x"

    def decode(self, body: bytes) -> bytes:
        if not body:
            raise BadInputError("nothing to look at: send the content as the body")
        return body

    def predict(self, inputs: list[bytes]) -> list[dict]:
        tokens = [self._tokens(content) for content in inputs]
        answers = [self._answer(*_of_few_bytes(content)) for content in inputs]
        if known := [index for index, each in enumerate(tokens) if each is not None]:
            batch = np.stack([tokens[index] for index in known])
            (scores,) = self.session.run(["target_label"], {"bytes": batch})
            for index, row in zip(known, scores, strict=True):
                answers[index] = self._answer(*self._best(row))
        return answers

    def _tokens(self, content: bytes) -> np.ndarray | None:
        """The network's input, or None if there is too little besides white space."""
        config = self.config
        first = content[: config["block_size"]].lstrip()[: config["beg_size"]]
        last = content[-config["block_size"] :].rstrip()[-config["end_size"] :]
        if len(first) < config["min_file_size_for_dl"]:
            return None
        tokens = np.full(config["beg_size"] + config["end_size"], config["padding_token"], np.int32)
        tokens[: len(first)] = list(first)
        tokens[len(tokens) - len(last) :] = list(last)
        return tokens

    def _best(self, scores: np.ndarray) -> tuple[str, float]:
        """The likeliest type, or what is safe to say if it is not likely enough."""
        config = self.config
        best, score = int(scores.argmax()), float(scores.max())
        label = config["target_labels_space"][best]
        limit = config["thresholds"].get(label, config["medium_confidence_threshold"])
        label = config["overwrite_map"].get(label, label)
        if score < limit:
            label = "txt" if self.types[label]["is_text"] else "unknown"
        return label, score

    def _answer(self, label: str, score: float) -> dict:
        return {"label": label, "group": self.types[label]["group"], "score": round(score, 6)}


def _of_few_bytes(content: bytes) -> tuple[str, float]:
    try:
        content[:4_096].decode()
    except UnicodeDecodeError:
        return "unknown", 1.0
    return "txt", 1.0


def _encoded(request: dict) -> object:
    """The body as bytes: TorchServe has decoded what came as text/… or application/json."""
    body = request.get("data") or request.get("body")
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body).encode() if isinstance(body, dict | list) else body
