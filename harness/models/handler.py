"""Who answers requests, as model.yaml's ``handler`` names it.

handler.py               a file with one class, or with ``handle``
handler.py:answer        a file, and its function
handler:answer           the same, as torch-model-archiver spells it
package:folder/serve.py  a file that an installed package ships
image_classifier         one of TorchServe's own
"""

import re

OWN = (
    "base_handler",
    "dali_image_classifier",
    "image_classifier",
    "image_segmenter",
    "object_detector",
    "text_classifier",
    "trt_llm_handler",
    "vllm_handler",
)
_BY_BASE_HANDLER = (".pt", ".onnx", ".so")  # ts/torch_handler/base_handler.py, initialize
_FUNCTION = re.compile(r"^(.+):([A-Za-z_]\w*)$")


def file(text: str) -> str | None:
    """The handler's file; None for one of TorchServe's own, and for no handler."""
    if not text or text in OWN:
        return None
    name = _split(text)[0]
    return name if name.endswith(".py") else f"{name}.py"


def in_manifest(text: str, file: str) -> str:
    """The handler as TorchServe reads it, its code being the ``file`` next to the manifest's."""
    function = _split(text)[1]
    return f"{file.removesuffix('.py')}:{function}" if function else file


def refusal(text: str, file: str | None, *, eager: bool = False) -> str | None:
    """Why TorchServe's own handler could not load the model; None if it can, or is not asked.

    Args:
        text: model.yaml's ``handler``.
        file: the one file that is the model, or its weights, if there is one.
        eager: whether code comes with it.
    """
    if text not in OWN or file is None:
        return None
    if eager:
        loads = not file.endswith(".safetensors")
        return None if loads else f"{text} cannot read safetensors: write a handler, or a .pth"
    if file.endswith(_BY_BASE_HANDLER):
        return None
    return f"{text} loads {', '.join(_BY_BASE_HANDLER)} only: rename {file}, or write a handler"


def _split(text: str) -> tuple[str, str]:
    """The file and its function, if one is named."""
    match = _FUNCTION.match(text)
    return (match[1], match[2]) if match else (text, "")
