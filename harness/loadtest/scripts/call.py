"""A request of a script, with the keys that a profile has for it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

_NOT_SENT = {"content-length", "expect", "transfer-encoding", "connection", "accept-encoding"}
_SECRET = {"authorization", "cookie", "proxy-authorization", "x-api-key"}
FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Call:
    """One request: ``keys`` are those of a profile's ``request``.

    Attributes:
        left_out: what of it has no place in a profile.
        bearer: it has a bearer token, which is never written down.
    """

    url: str
    keys: dict[str, object] = field(default_factory=dict)
    weight: float = 1.0
    left_out: list[str] = field(default_factory=list)
    bearer: bool = False

    def put_text(self, body: str) -> None:
        """Give it a body: as JSON where it is an object or a list, which reads better."""
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        is_document = isinstance(document, dict | list)
        self.keys["json" if is_document else "body"] = document if is_document else body

    def put_file(self, path: str) -> None:
        """Give it a file as its body, or the many that a wildcard fits."""
        self.keys["bodyFiles" if set(path) & set("*?[") else "bodyFile"] = path

    def put_form(self, fields: Iterable[tuple[str, str]]) -> None:
        """Give it a multipart form; several fields of one name become a list."""
        form: dict[str, str | list[str]] = {}
        for name, content in fields:
            before = form.get(name)
            if before is None:
                form[name] = content
            else:
                form[name] = [*([before] if isinstance(before, str) else before), content]
        self.keys["form"] = form

    def put_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Give it headers, but for the client's own, and for secrets."""
        sent = {}
        for name, content in headers:
            if name.lower() in _SECRET:
                self.bearer = self.bearer or content.lower().startswith("bearer ")
                self.left_out.append(f"{name}: a secret is not written down (`auth` reads it)")
            elif name and name.lower() not in _NOT_SENT:
                sent[name] = content
        if sent:
            self.keys["headers"] = sent

    def put_method(self, method: str) -> None:
        """Give it a method, once its body is known: none where a profile takes it by itself."""
        if method and method != ("POST" if self.has_body else "GET"):
            self.keys["method"] = method

    @property
    def has_body(self) -> bool:
        """Whether a profile sends it by POST of itself."""
        return bool({"json", "body", "bodyFile", "bodyFiles", "form"} & self.keys.keys())


def header(line: str) -> tuple[str, str]:
    """The name and the content of ``Name: content``."""
    name, _, content = line.partition(":")
    return name.strip(), content.strip()
