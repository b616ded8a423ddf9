"""A request of one's own: its body in every form that people's scripts have."""

import email
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.loadtest import Profile, Target
from harness.loadtest.plan import Request, prepare
from harness.loadtest.raw_request import RawRequest
from tests.loadtest.cases import profile


def _request(**keys: object) -> RawRequest:
    return RawRequest.model_validate_json(json.dumps({"name": "r", "path": "/r", **keys}))


def _requests(folder: Path, **keys: object) -> tuple[Request, ...]:
    mix = [{"request": {"name": "r", "path": "/predictions/r", **keys}}]
    return prepare(profile(mix=mix), Target("http://h:1"), {}, folder).requests


def _fields(body: bytes, content_type: str) -> dict[str, tuple[str | None, bytes]]:
    """A form as Python's own MIME parser reads it."""
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    }


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(), min_size=1))
def test_any_text_travels_in_a_form(form: dict[str, str]) -> None:
    plain = {name: text for name, text in form.items() if not text.startswith("@")}
    [body] = _request(form=plain).bodies(Path())
    assert dict(body.fields) == {name: text.encode() for name, text in plain.items()}
    if all("\r" not in text and "\n" not in text for text in plain.values()) and plain:
        parts = _fields(body.content, str(body.content_type))
        assert {name: content for name, (_, content) in parts.items()} == dict(body.fields)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_is_sent_as_it_is(document: object) -> None:
    [body] = _request(json=document).bodies(Path())
    assert json.loads(body.content) == document
    assert body.content_type == "application/json"


def test_a_form_sends_a_file_with_its_name_and_type(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n")
    [request] = _requests(tmp_path, form={"data": "@0.png", "size": "3"})
    assert request.method == "POST"
    assert b"Content-Type: image/png" in request.body
    parts = _fields(request.body, request.headers["Content-Type"])
    assert parts == {"data": ("0.png", b"\x89PNG\r\n"), "size": (None, b"3")}
    assert request.fields == (("data", b"\x89PNG\r\n"), ("size", b"3"))
    [typed] = _requests(tmp_path, form={"data": "@0.png;type=image/x;filename=a.x"})
    assert b'filename="a.x"' in typed.body
    assert b"Content-Type: image/x" in typed.body


def test_every_file_of_a_wildcard_is_a_request_under_one_name(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for number in range(3):
        (tmp_path / f"rows/{number}.csv").write_text(f"{number},a")
    for keys in ({"bodyFiles": "rows/*.csv"}, {"bodyFiles": f"{tmp_path}/rows/*.csv"}):
        requests = _requests(tmp_path, **keys)
        assert [request.body for request in requests] == [b"0,a", b"1,a", b"2,a"]
        assert sum(request.weight for request in requests) == pytest.approx(1)
    forms = _requests(tmp_path, form={"data": "@rows/*.csv", "k": "@rows/0.csv"})
    assert [dict(request.fields)["data"] for request in forms] == [b"0,a", b"1,a", b"2,a"]


def test_every_line_of_a_file_is_a_request(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,a\n\n2,b\n")
    assert [each.body for each in _requests(tmp_path, bodyLines="rows.csv")] == [b"1,a", b"2,b"]


def test_a_header_of_the_request_is_sent_instead(tmp_path: Path) -> None:
    [request] = _requests(tmp_path, json={"a": 1}, headers={"content-type": "application/x"})
    assert request.headers == {"content-type": "application/x"}


def test_several_statuses_are_expected_the_first_is_right(tmp_path: Path) -> None:
    [request] = _requests(tmp_path, status=[200, 503])
    assert (request.expected.status, request.also) == ((200,), (503,))


def test_without_a_text_that_answers_have_only_the_status_is_known(tmp_path: Path) -> None:
    [alone] = _requests(tmp_path)
    [text] = _requests(tmp_path, contains="Paris")
    assert (alone.origin, text.origin) == ("status", "written")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"json": {}, "bodyFile": "b"}, "json and bodyFile: a request has one body"),
        ({"bodyfiles": "*"}, "did you mean bodyFiles?"),
        ({"froms": {}}, "did you mean form?"),
        ({"status": []}, "status"),
        ({"method": "FETCH"}, "method"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    path = tmp_path / "p.yaml"
    mix = [{"request": {"name": "r", "path": "/r", **keys}}]
    path.write_text(json.dumps({"mix": mix, "stages": [{"kind": "hold", "requests": 1}]}))
    from harness.loadtest import load_profile

    with pytest.raises(InputError) as refused:
        load_profile(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bodyFiles": "rows/*.csv"}, "no file fits rows/*.csv"),
        ({"form": {"data": "@none.png"}}, "none.png: cannot be read: No such file"),
        ({"bodyLines": "empty.csv"}, "empty.csv: has no line to send"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(InputError) as refused:
        _requests(tmp_path, **keys)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"stages": [{"kind": "hold", "rate": 5}]}, "Field required"),
        ({"stages": [{"kind": "hold", "requests": 9, "rate": 5}]}, "arrivals: constant"),
        ({"thinkTime": 1}, "needs arrivals: closed"),
        ({"caFile": "a.pem", "insecure": True}, "which one?"),
        ({"protocol": "grpc"}, "by gRPC a path is /predictions/NAME"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(
    keys: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        profile(**keys)


def test_a_number_of_requests_has_the_length_of_its_rate() -> None:
    counted: Profile = profile(
        arrivals="constant", stages=[{"kind": "hold", "requests": 30, "rate": 10}]
    )
    assert counted.seconds == 3
    assert counted.count is None
