"""Load scripts of other tools, and what a shell makes of a line, as profiles."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.errors import InputError
from harness.loadtest.scripts import Script, read
from tests.loadtest.test_import import _profile, _read


def _requests(script: Script) -> list[dict[str, object]]:
    return [entry["request"] for entry in _profile(script).content["mix"]]


@pytest.mark.parametrize(
    ("script", "paths"),
    [
        ('H=http://h\nM="a b"\ncurl "$H/predictions/${M%x}x"', None),
        ("H=http://h; curl $H/predictions/a", ["/predictions/a"]),
        ("export H=${1:-http://h}\ncurl ${H}/predictions/a", ["/predictions/a"]),
        ("for m in a b; do\n  curl http://h/predictions/$m\ndone", ["/a", "/b"]),
        ("for m in a b; do for n in 1 2; do curl http://h/$m/$n; done; done", 4 * [""]),
        ("{\n  curl http://h/predictions/a\n} > log", ["/predictions/a"]),
        ("seq 9 | xargs -P 4 -I{} curl http://h/predictions/a", ["/predictions/a"]),
        ("docker run --rm x/hey hey -n 5 http://h/predictions/a", ["/predictions/a"]),
    ],
)
def test_what_a_shell_would_make_of_a_line(script: str, paths: list[str] | None) -> None:
    sent = [str(each["path"]) for each in _requests(_read(script))]
    assert paths is None or len(sent) == len(paths)
    assert all(path.endswith(end) for path, end in zip(sent, paths or sent, strict=True))


@pytest.mark.parametrize(
    "script",
    [
        'curl -d @- http://h/p <<EOF\n{"text": "a"}\nEOF',
        'T=a\ncurl -d @- http://h/p <<EOF\n{"text": "$T"}\nEOF',
        'curl --json @- http://h/p <<\'EOF\'\n{"text": "a"}\nEOF',
        'echo \'{"text": "a"}\' | curl -d @- http://h/p',
        'curl -d @- http://h/p <<< \'{"text": "a"}\'',
        'B=\'{\n"text": "a"\n}\'\ncurl -d "$B" http://h/p',
    ],
)
def test_a_body_that_is_piped_is_sent(script: str) -> None:
    [request] = _requests(_read(script))
    assert request["json"] == {"text": "a"}


@pytest.mark.parametrize("body", ["@- < b.json", '"$(cat b.json)"', "@- http://h/p < b.json"])
def test_a_file_that_is_piped_is_named(body: str) -> None:
    [request] = _requests(_read(f"curl http://h/p -d {body}"))
    assert request["bodyFile"] == "b.json"


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("ab -c $C -n 9 http://h/p", "ab $C: is not a number, so ab's own is taken"),
        ('curl -H "x-id: $ID" http://h/p', "$ID is not set in the script"),
        ('curl http://h/p -d "$(jq . x)"', "what is in $(…) only a run would tell"),
        ("curl http://h/p; siege -t 9S http://h/p", "siege: is not read"),
        (
            "locust -f l.py -r fast -t long",
            "locust fast: is not a number, so locust's own is taken",
        ),
        ("echo GET http://h | vegeta attack -rate=0 -workers=$N", "vegeta $N: is not a number"),
        ("echo GET http://h | vegeta attack -rate=9/x", "vegeta 1x: is not a number"),
        ("echo GET http://h | vegeta attack -duration=$D", "vegeta $D: is not a number"),
        ("jq . x | curl -d @- http://h/p", "its body comes from `jq . x`"),
        ("wrk -s gone.lua http://h/p", "cannot be read, so its requests are left out"),
    ],
)
def test_what_a_line_leaves_open_is_named(line: str, remark: str) -> None:
    assert remark in "\n".join(_read(line).remarks)


def test_a_variable_that_names_itself_and_an_escape_that_is_broken_off_end() -> None:
    assert _requests(_read("H='http://h$H'\ncurl $H/p -d $'{\\u}'"))


def test_a_typed_field_of_a_form_keeps_its_type(tmp_path: Path) -> None:
    [entry] = _profile(_read("curl -F 'meta={\"a\": 1};type=application/json' http://h/p")).mix
    assert entry.request is not None
    [body] = entry.request.bodies(tmp_path)
    assert body.fields == (("meta", b'{"a": 1}'),)
    assert b"Content-Type: application/json" in body.content


def test_two_files_of_one_field_are_both_sent(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    [entry] = _profile(_read("curl -F f=@a.txt -F f=@b.txt http://h/p")).mix
    assert entry.request is not None
    [body] = entry.request.bodies(tmp_path)
    assert body.fields == (("f", b"a.txt"), ("f", b"b.txt"))


@pytest.mark.parametrize(
    ("line", "arrivals", "stage"),
    [
        ("oha -n 200 -c 20 http://h/p", "closed", {"users": 20, "requests": 200}),
        ("oha -z 1m30s -q 25 http://h/p", "constant", {"rate": 25, "seconds": 90}),
        ("bombardier -c 7 -d 5s http://h/p", "closed", {"users": 7, "seconds": 5}),
        (
            "echo 'GET http://h/p' | vegeta attack -rate=600/m -duration=9s | vegeta report",
            "constant",
            {"rate": 10, "seconds": 9},
        ),
    ],
)
def test_kin_of_hey_are_read(line: str, arrivals: str, stage: dict[str, float]) -> None:
    profile = _profile(_read(line))
    assert profile.arrivals == arrivals
    assert stage.items() <= profile.content["stages"][0].items()


def test_targets_of_vegeta_have_their_own_bodies(tmp_path: Path) -> None:
    (tmp_path / "targets.txt").write_text("POST http://h/p\nX-A: 1\n@a.json\n\nGET http://h/ping\n")
    line = "vegeta attack -targets=targets.txt -duration=5s"
    first, second = _requests(read(tmp_path / "load.sh", line))
    assert (first["bodyFile"], first["headers"]) == ("a.json", {"X-A": "1"})
    assert second["path"] == "/ping"


def test_what_a_script_of_wrk_sets_is_sent(tmp_path: Path) -> None:
    (tmp_path / "post.lua").write_text(
        'wrk.method = "POST"\nwrk.body = \'{"text": "a"}\'\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )
    script = read(tmp_path / "load.sh", "wrk -c 9 -d 5s -s post.lua http://h/p")
    [request] = _requests(script)
    assert request["json"] == {"text": "a"}
    assert request["headers"] == {"Content-Type": "application/json"}
    assert not script.left_out


def test_a_command_of_locust_brings_its_file_and_its_load(tmp_path: Path) -> None:
    (tmp_path / "l.py").write_text(
        "class U(HttpUser):\n @task\n def a(self): self.client.get('/a')"
    )
    script = read(tmp_path / "load.sh", "locust -f l.py --headless -u 50 -r 5 -t 1m -H http://h:1")
    assert script.target == "http://h:1"
    ramp, hold = _profile(script).content["stages"]
    assert (ramp["seconds"], ramp["to"], hold["seconds"], hold["users"]) == (10, 50, 50, 50)
    gone = read(tmp_path / "load.sh", "locust -f gone.py -u 5 -t 1m")
    assert gone.users == 5
    assert "gone.py is not there" in gone.left_out[0]


def test_a_collection_of_postman_is_read() -> None:
    request = {
        "method": "POST",
        "url": {"raw": "{{base}}/predictions/bert"},
        "header": [{"key": "Authorization", "value": "Bearer {{token}}"}],
        "body": {
            "mode": "formdata",
            "formdata": [
                {"key": "data", "type": "file", "src": "k.jpg"},
                {"key": "k", "type": "text", "value": "5"},
            ],
        },
    }
    document = {
        "info": {"schema": "https://schema.getpostman.com/json/collection/v2.1.0/"},
        "item": [{"name": "all", "item": [{"name": "one", "request": request}]}],
        "variable": [{"key": "base", "value": "http://h:8080"}],
    }
    script = _read(json.dumps(document), "ts.postman_collection.json")
    [only] = _requests(script)
    assert only["form"] == {"data": "@k.jpg", "k": "5"}
    assert (script.target, script.auth) == ("http://h:8080", "TOKEN")


def test_json_that_is_no_recording_says_so() -> None:
    with pytest.raises(InputError, match="neither a HAR file"):
        _read('{"instances": []}', "payload.json")


_PLAN = """<jmeterTestPlan><hashTree>
<ThreadGroup testclass="ThreadGroup">
  <stringProp name="LoopController.loops">${{__P(loops,20)}}</stringProp>
  <stringProp name="ThreadGroup.num_threads">4</stringProp>
</ThreadGroup><hashTree>
<HTTPSamplerProxy testclass="HTTPSamplerProxy">
  <elementProp elementType="HTTPFileArg"><stringProp name="File.path">k.jpg</stringProp>
    <stringProp name="File.paramname">data</stringProp></elementProp>
  <stringProp name="HTTPSampler.domain">h</stringProp>
  <stringProp name="HTTPSampler.path">/predictions/a</stringProp>
  <stringProp name="HTTPSampler.method">POST</stringProp>
</HTTPSamplerProxy><hashTree/>
<HTTPSamplerProxy testclass="HTTPSamplerProxy">
  <elementProp elementType="HTTPArgument">
    <stringProp name="Argument.value">{{"text": "a"}}</stringProp></elementProp>
  <stringProp name="HTTPSampler.path">/predictions/b</stringProp>
  <stringProp name="HTTPSampler.method">POST</stringProp>
</HTTPSamplerProxy><hashTree><HeaderManager testclass="HeaderManager">
  <elementProp elementType="Header"><stringProp name="Header.name">Content-Type</stringProp>
    <stringProp name="Header.value">application/json</stringProp></elementProp>
</HeaderManager></hashTree>
<CSVDataSet testclass="CSVDataSet" testname="rows"/>
</hashTree></hashTree></jmeterTestPlan>"""


def test_a_plan_of_jmeter_is_read() -> None:
    script = _read(_PLAN.replace("{{", "{").replace("}}", "}"), "plan.jmx")
    form, document = _requests(script)
    assert form["form"] == {"data": "@k.jpg"}
    assert not form["headers"]
    assert document["json"] == {"text": "a"}
    assert document["headers"] == {"Content-Type": "application/json"}
    assert (script.users, script.requests) == (4, 160)
    assert "CSVDataSet 'rows': not carried over" in script.left_out
    with pytest.raises(InputError, match="is not a test plan"):
        _read("<a>", "plan.jmx")


@pytest.mark.parametrize("threads", ["nan", "inf", "1e999", "9" * 400, "-4", "-1"])
def test_a_plan_of_jmeter_with_a_number_of_threads_that_is_none_names_it(threads: str) -> None:
    plan = _PLAN.replace("{{", "{").replace("}}", "}").replace(">4<", f">{threads}<")
    script = _read(plan, "plan.jmx")
    assert script.users == 1
    assert f"ThreadGroup.num_threads: {threads} is not a number of JMeter's" in script.left_out


@pytest.mark.timeout(20)
def test_a_long_duration_that_is_none_is_named_at_once() -> None:
    duration = f"{'9' * 60}x"
    script = _read(f"hey -z {duration} http://h/p")
    assert f"hey {duration}: is not a number, so hey's own is taken" in script.left_out


def test_workers_of_vegeta_beyond_a_double_are_named() -> None:
    workers = "9" * 400
    script = _read(f"echo GET http://h/p | vegeta attack -workers={workers} -rate=0")
    assert f"vegeta {workers}: is not a number, so vegeta's own is taken" in script.left_out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_script_as_windows_writes_it_is_read(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "load.ps1"
    script.write_bytes("curl.exe http://h/predictions/a\r\n".encode(encoding))
    assert main(["loadtest", "import", str(script)]) == 0
    assert "path: /predictions/a" in capsys.readouterr().out


def test_a_recording_may_be_larger_than_a_file_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"method": "GET", "url": "http://h/p", "comment": "x" * (5 << 20)}
    recording = tmp_path / "a.har"
    recording.write_text(json.dumps({"log": {"entries": [{"request": request}]}}))
    assert main(["loadtest", "import", str(recording)]) == 0
    assert "path: /p" in capsys.readouterr().out


def test_long_and_foreign_paths_have_names_of_their_own() -> None:
    first, second, third = _requests(
        _read(f"curl http://h/{'a' * 90}x\ncurl http://h/{'a' * 90}y\ncurl 'http://h/mod\u00e8le'")
    )
    assert first["name"] != second["name"]
    assert third["path"] == "/mod%C3%A8le"
