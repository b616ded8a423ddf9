"""JSON as Gson reads it: single quotes, names without quotes and comments pass.

Gson's ``fromJson`` is lenient whatever the reader's settings say. What Python's ``json`` refuses is
read as YAML's flow style, which takes the same liberties.
"""

import json
import re

import yaml

_COMMENT = re.compile(r"(?m)//.*$|/\*.*?\*/", re.DOTALL)


def loads(text: str) -> object:
    """The value of a text.

    Raises:
        json.JSONDecodeError: it is JSON for neither; the position is that of strict JSON.
    """
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("{") or not text.rstrip().endswith("}"):
            raise
        if re.search(r",\s*}", text):
            raise  # of a trailing comma Gson says "Expected name"
        try:
            node = yaml.safe_load(re.sub(r"([,{]\s*\w+):", r"\1: ", _COMMENT.sub("", text)))
        except yaml.YAMLError:
            raise error from None
        if not isinstance(node, dict):
            raise
        return node
