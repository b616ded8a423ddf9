"""A model that answers in two parts. TorchServe imports this file in its worker."""

from typing import Any

from ts.protocol.otf_message_handler import send_intermediate_predict_response


def handle(data: list[dict[str, object]] | None, context: Any) -> list[str]:
    """TorchServe's entry point; without data it is the call to load the model."""
    if data is None:
        return []
    first = ["first " for _ in data]
    send_intermediate_predict_response(first, context.request_ids, "streaming", 200, context)
    return ["last" for _ in data]
