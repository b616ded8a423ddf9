"""Collections of Postman (format 2), as they are exported.

https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from harness.core.values import Value, items, mapping, text
from harness.loadtest.scripts.call import FORM, Call
from harness.loadtest.scripts.script import Script

_VARIABLE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")


def is_collection(document: object) -> bool:
    """Whether a JSON document is a collection."""
    return "postman" in text(document, "info", "schema") or bool(items(document, "item"))


def read(document: object) -> Script:
    """Every request of a collection, in its order."""
    script = Script()
    variables = {
        text(each, "key"): str(mapping(each).get("value", ""))
        for each in items(document, "variable")
    }
    unset: set[str] = set()

    def resolve(written: str) -> str:
        unset.update(name for name in _VARIABLE.findall(written) if name not in variables)
        return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), written)

    for request in _requests(document):
        url = mapping(request).get("url")
        call = Call(resolve(url if isinstance(url, str) else text(request, "url", "raw")))
        headers = [
            (text(each, "key"), resolve(text(each, "value")))
            for each in items(request, "header")
            if not mapping(each).get("disabled")
        ]
        named = {name.lower() for name, _ in headers}
        added = _put_body(call, mapping(request, "body"), resolve)
        headers += [each for each in added if each[0].lower() not in named]
        if text(request, "auth", "type") == "bearer":
            headers.append(("Authorization", "Bearer left out"))
        call.put_headers(headers)
        method = text(request, "method").upper() or "GET"
        call.put_method(method)
        script.take(call)
    script.left_out += [
        f"{{{{{name}}}}} has no value in the collection, and goes out as it is written"
        for name in sorted(unset)
    ]
    return script


def _put_body(call: Call, body: Value, resolve: Callable[[str], str]) -> list[tuple[str, str]]:
    """Give a call its body; return the headers that Postman adds."""
    fields = [
        each for each in items(body, str(body.get("mode"))) if not mapping(each).get("disabled")
    ]
    pairs = [(text(each, "key"), resolve(text(each, "value"))) for each in fields]
    match body.get("mode"):
        case "raw":
            call.put_text(resolve(text(body, "raw")))
            if text(body, "options", "raw", "language") == "json":
                return [("Content-Type", "application/json")]
        case "file":
            call.put_file(text(body, "file", "src"))
        case "urlencoded":
            call.keys["body"] = urlencode(pairs)
            return [("Content-Type", FORM)]
        case "formdata":
            files = [text(each, "src") or text(each, "src", 0) for each in fields]
            call.put_form(
                (name, f"@{file}" if file else content)
                for (name, content), file in zip(pairs, files, strict=True)
            )
    return []


def _requests(document: object) -> Iterator[object]:
    """Those of a folder and of the folders in it."""
    for entry in items(document, "item"):
        if mapping(entry, "request"):
            yield mapping(entry)["request"]
        yield from _requests(entry)
