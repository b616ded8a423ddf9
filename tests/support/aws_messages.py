"""What the imitated AWS is asked and what it answers, as HTTP has it."""

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

ERROR_XML = (
    "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>"
)
QUERY = ("cloudformation", "iam", "sts")
"""Services whose requests are forms, and whose answers are XML."""


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")

    def saying(self, value: object) -> "Reply":
        return Reply(self.status, self.headers, json.dumps(value).encode())


@dataclass
class Request:
    """An HTTP request, and the operation that it is."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    service: str
    operation: str

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")

    @property
    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))


def error(request: Request, status: int, code: str, **more: str) -> Reply:
    """An error in the form of the service."""
    if request.service in QUERY:
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>the test says so</Message>"
        return Reply(
            status, {"content-type": "text/xml"}, f"{xml}</Error></ErrorResponse>".encode()
        )
    if request.service in ("ec2", "s3"):
        xml = ERROR_XML.format(code, "the test says so")
        if request.service == "s3":
            xml = xml.removeprefix("<Response><Errors>").removesuffix("</Errors></Response>")
        return Reply(status, {"content-type": "text/xml"}, xml.encode())
    body = {"ErrorCode": code, "message": "the test says so", **more}
    headers = {"content-type": "application/json", "x-amzn-errortype": code}
    return Reply(status, headers, json.dumps(body).encode())
