"""Load scripts that people have, as profiles: what they send, how fast, and what is left out."""

import ast
import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.core import document
from harness.core.errors import InputError
from harness.loadtest import Profile
from harness.loadtest.scripts import Script, read

SCRIPTS = Path(__file__).parents[1] / "testdata" / "loadscripts"


def _read(text: str, name: str = "load.sh") -> Script:
    return read(Path(name), text)


def _profile(script: Script) -> Profile:
    return document.load_text(script.text("a script"), Path("p.yaml"), Profile)


def _request(line: str) -> dict[str, object]:
    [entry] = _profile(_read(line)).content["mix"]
    return {key: each for key, each in entry["request"].items() if key not in ("status", "stream")}


def test_curl_commands_become_requests() -> None:
    script = _read((SCRIPTS / "commands.sh").read_text())
    put, form, as_json, urlencoded, options = [
        entry["request"] for entry in _profile(script).content["mix"]
    ]
    assert (put["method"], put["bodyFile"]) == ("PUT", "kitten_small.jpg")
    assert form["form"] == {"data": "@0.png;type=image/png", "text": "a b"}
    assert form["headers"] == {"Host": "models.example.com"}
    assert as_json["json"] == {"instances": [{"data": "aGVsbG8="}]}
    assert (urlencoded["path"], urlencoded["body"]) == ("/predictions/toxic?k=1", "text=hello")
    assert urlencoded["headers"] == {"Content-Type": "application/x-www-form-urlencoded"}
    assert options["method"] == "OPTIONS"
    assert script.insecure
    assert script.auth == "TOKEN"
    assert "eyJhbGciOi" not in script.text("a script")


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("curl h/p", {"path": "/p"}),
        ("$ curl -XPOST h/p -d@b.json", {"path": "/p", "bodyFile": "b.json"}),
        ("curl --json '[1]' h/p", {"path": "/p", "json": [1]}),
        ("curl -G -d a=1 -d b=2 h/p", {"path": "/p?a=1&b=2"}),
        ("curl -T a.jpg h/predictions/", {"path": "/predictions/a.jpg", "method": "PUT"}),
        ("curl --form-string 'data=@x' h/p", {"form": {"data": "@x"}}),
        ("curl -F 'data=<x.txt' h/p", {"form": {"data": "@x.txt"}}),
        ("curl -I h/p 2>/dev/null", {"method": "HEAD"}),
        ('curl --data-raw $\'{"a": "\\u00e4"}\' h/p', {"json": {"a": "ä"}}),
        ("ab -n1000 -c 10 -p kitten.jpg -T image/jpeg http://h/p", {"bodyFile": "kitten.jpg"}),
        ("hey -n 9 -m POST -d '{\"a\": 1}' http://h/p", {"json": {"a": 1}}),
        ("hey -z 30s -host a.example http://h/p", {"headers": {"Host": "a.example"}}),
        ("wrk -t2 -c100 -d30s --latency http://h/p", {"path": "/p"}),
    ],
)
def test_a_line_becomes_a_request(line: str, keys: dict[str, object]) -> None:
    assert keys.items() <= _request(line).items()


@pytest.mark.parametrize(
    ("line", "arrivals", "stage"),
    [
        ("ab -n 1000 -c 10 http://h/p", "closed", {"users": 10, "requests": 1000}),
        ("hey http://h/p", "closed", {"users": 50, "requests": 200}),
        ("hey -z 5m -c 4 http://h/p", "closed", {"users": 4, "seconds": 300}),
        ("hey -z 10s -c 4 -q 5 http://h/p", "constant", {"rate": 20, "seconds": 10}),
        ("wrk -c 8 -d 30s http://h/p", "closed", {"users": 8, "seconds": 30}),
        ("wrk2 -R 100 -d 1m http://h/p", "constant", {"rate": 100, "seconds": 60}),
        ("curl http://h/p", "closed", {"users": 1, "seconds": 60}),
    ],
)
def test_the_pace_is_carried_over(line: str, arrivals: str, stage: dict[str, float]) -> None:
    profile = _profile(_read(line))
    assert profile.arrivals == arrivals
    assert stage.items() <= profile.content["stages"][0].items()


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(
        lambda body: body[0] not in "@-{["
    )
)
def test_any_text_of_curl_is_sent_as_it_is(body: str) -> None:
    request = _request(f"curl -d {shlex.quote(body)} http://h/p")
    assert request["body"] == body


@pytest.mark.parametrize("body", ["<jmeterTestPlan", "a plan: <jmeterTestPlan>", "from 'k6'"])
def test_a_body_that_names_another_tool_is_a_body(body: str) -> None:
    request = _request(f'curl -d "{body}" http://h/p')
    assert request["body"] == body


def test_a_locustfile_is_read_and_not_executed() -> None:
    script = _read((SCRIPTS / "locustfile.txt").read_text(), "locustfile.py")
    profile = _profile(script)
    mix = {entry["request"]["name"]: entry for entry in profile.content["mix"]}
    assert mix["coco-model"]["request"]["json"] == {"instances": [{"data": "aGVsbG8="}]}
    assert mix["coco-model"]["weight"] == 3
    assert mix["wildlife"]["request"]["form"] == {"data": "@0.png"}
    assert mix["resnet-18"]["request"]["bodyFiles"] == "images/*.jpg"
    assert mix["toxic"]["request"]["json"] == {"text": "good"}
    assert profile.content["thinkTime"] == {"from": 0.5, "to": 2}
    assert script.target == "http://models.example.com"
    assert "secret-token" not in script.text("locustfile.py")
    remarks = "\n".join(script.left_out)
    assert "make_body(random.random()): only a run would tell, so its request is left" in remarks
    assert "Stages: its stages are yours to write" in remarks
    assert "on_start() is not a task" in remarks


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("image = random.choice(IMAGES)", "open(image, 'rb').read()"),
        ("image = np.random.choice(['a.jpg', 'b.jpg'])", "open(f'{image}', 'rb')"),
        ("pass", "open(random.choice(IMAGES), 'rb')"),
    ],
)
def test_each_literal_of_a_choice_is_a_request(before: str, body: str) -> None:
    source = f"""
IMAGES = ["a.jpg", "b.jpg"]
class Caller(HttpUser):
    @task(3)
    def classify(self):
        {before}
        self.client.post("/predictions/resnet", data={body})
"""
    mix = _profile(_read(source, "locustfile.py")).content["mix"]
    assert [entry["request"]["bodyFile"] for entry in mix] == ["a.jpg", "b.jpg"]
    assert [entry["weight"] for entry in mix] == [1.5, 1.5]


def test_of_two_paces_the_one_that_is_left_out_is_named() -> None:
    remarks = _read("ab -n 9 -c 3 http://h/p\nhey -z 5s -c 4 -q 5 http://h/p").remarks
    assert "20 requests a second are left out: 3 users count" in remarks
    assert "9 requests are left out: 5 seconds count" in remarks
    remarks = _read("ab -n 9 -c 3 http://h/p\nwrk -c 8 -d 30s http://h/p").remarks
    assert "users: 8 is left out, 3 counts: it came first" in remarks


def test_a_har_file_is_read() -> None:
    entry = {
        "request": {
            "method": "POST",
            "url": "https://models.example.com/predictions/bert?k=1",
            "headers": [
                {"name": "Content-Type", "value": "application/json"},
                {"name": "Cookie", "value": "session=1"},
                {"name": "User-Agent", "value": "Mozilla"},
            ],
            "postData": {"mimeType": "application/json", "text": '{"text": "a"}'},
        }
    }
    script = _read(json.dumps({"log": {"entries": [entry, entry]}}), "browser.har")
    [only] = _profile(script).content["mix"]
    assert only["weight"] == 2
    assert only["request"]["json"] == {"text": "a"}
    assert only["request"]["headers"] == {"Content-Type": "application/json"}
    assert "session=1" not in script.text("browser.har")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.sh", "echo hello", "no request is in it"),
        ("a.js", "import http from 'k6/http'", "no request is in it"),
        ("a.sh", "curl 'http://h", "a quote is opened and never closed"),
        ("a.har", "{", "is not a HAR file"),
        ("a.py", "def (", "is not Python 3"),
        ("a.sh", "ab -n", "ab: argument -n"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        _read(text, name)
    assert message in str(refused.value)


@given(st.from_regex(r"[a-z_ =().,'\"\[\]{}0-9:\n@]{0,80}", fullmatch=True))
def test_any_python_is_read_or_refused(source: str) -> None:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return
    assert isinstance(_read(source, "a.py"), Script)


def test_the_command_prints_then_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "load.sh"
    source.write_text("curl -d @b.json http://h:8080/predictions/m\n")
    written = tmp_path / "load.loadtest.yaml"
    assert main(["loadtest", "import", str(source)]) == 0
    printed = capsys.readouterr()
    assert "bodyFile: b.json" in printed.out
    assert "b.json: cannot be read" in printed.err
    assert not written.exists()
    assert main(["loadtest", "import", str(source), "--apply"]) == 0
    assert f"run --target http://h:8080 --profile {written}" in capsys.readouterr().err
    assert written.read_text() == printed.out
    assert main(["loadtest", "import", str(source), "--apply"]) == 2
    assert "exists" in capsys.readouterr().err


def test_commands_are_found_where_people_write_them() -> None:
    page = """
        $ curl --request POST 'http://h/predictions/mnist' \\
        > --data-raw '{
            "data": [1, 2]
        }'
        sudo curl http://h/ping; curl.exe http://h/models | jq .
        for i in 1 2; do curl -s -o /dev/null http://h/predictions/x -F 'data=@k.jpg'; done
        Say hey to curl users: don't use ab without -k.
        time ab -n 10 -c 2 http://h/predictions/resnet
    """
    script = _read(page, "README.md")
    paths = [entry["request"]["path"] for entry in _profile(script).content["mix"]]
    models = ["mnist", "x", "resnet"]
    assert paths == [f"/predictions/{models[0]}", "/ping", "/models"] + [
        f"/predictions/{model}" for model in models[1:]
    ]
    assert (script.users, script.requests) == (2, 10)


def test_a_script_of_requests_is_read() -> None:
    source = """
import os, requests
URL = os.environ.get("URL", "http://h:8080")
for name in ["a", "b"]:
    with open("x.png", "rb") as f:
        requests.post(f"{URL}/predictions/{name}", files={"data": f}, verify=False)
"""
    script = _read(source, "a.py")
    assert [call.url for call in script.calls] == [f"http://h:8080/predictions/{n}" for n in "ab"]
    assert script.insecure
    assert "how many users, and for how long, is not in it: 1 user for 60 s" in script.remarks
