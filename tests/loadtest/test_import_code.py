"""Load scripts in Python and JavaScript, as profiles: read by their syntax, never executed."""

from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.loadtest.scripts import read
from tests.loadtest.test_import import _profile, _read

_K6 = """
import http from 'k6/http';
const TEXTS = new SharedArray('t', function () { return ['a', "b"]; }); // words
const img = open('./k.jpg', 'b');
export const options = {
  stages: [{ duration: '20s', target: 10 }, { duration: '1m', target: 10 }],
  thresholds: { http_req_failed: ['rate<0.01'], http_req_duration: ['p(95)<800'] },
};
export default function () {
  const params = { headers: { 'X-A': '1', Authorization: `Bearer ${__ENV.KEY}` }, tags: { a: b } };
  http.post(`${__ENV.BASE || 'http://h:1'}/predictions/a`, JSON.stringify({ text: randomItem(TEXTS) }), params);
  http.post(__ENV.URL + '/predictions/b', { data: http.file(img, 'x.jpg', 'image/jpeg') });
  http.post('http://h:1/predictions/c', makeBody(1));
  sleep(1);
}
"""  # noqa: E501 - as people write it


def test_a_script_of_k6_is_read() -> None:
    script = _read(_K6, "load.js")
    profile = _profile(script).content
    first, second, form = [entry["request"] for entry in profile["mix"]]
    assert [first["json"], second["json"]] == [{"text": "a"}, {"text": "b"}]
    assert first["headers"] == {"X-A": "1"}
    assert form["form"] == {"data": "@./k.jpg;type=image/jpeg;filename=x.jpg"}
    assert [(each["kind"], each["seconds"]) for each in profile["stages"]] == [
        ("ramp", 20),
        ("hold", 60),
    ]
    assert {"errorRate": 0.01, "latency": {"p95": 800}}.items() <= profile["slos"][0].items()
    assert (profile["thinkTime"], script.target, script.auth) == (1, "http://h:1", "TOKEN")
    remarks = "\n".join(script.remarks)
    assert "__ENV.URL: only a run would tell; --target names it" in remarks
    assert "makeBody(1): only a run would tell, so its request is left out" in remarks


def test_an_arrival_rate_of_k6_is_an_open_loop() -> None:
    scenario = "{a: {executor: 'constant-arrival-rate', rate: 300, timeUnit: '1m', duration: '9s'}}"
    source = f"export const options = {{scenarios: {scenario}}};\nhttp.get('http://h/p')"
    profile = _profile(_read(source, "a.js")).content
    assert profile["arrivals"] == "constant"
    assert profile["stages"] == [{"kind": "hold", "judged": True, "seconds": 9, "rate": 5}]


def test_a_duration_of_k6_without_a_unit_is_in_milliseconds() -> None:
    source = (
        "export const options = {vus: 3, duration: 9000};\nhttp.get('http://h/p', {timeout: 2500})"
    )
    script = _read(source, "a.js")
    assert (script.seconds, script.timeout) == (9, 2.5)


@pytest.mark.parametrize(
    "options", ["{stages: [{duration: '9s'}]}", "{duration: 'long'}", "{scenarios: {a: 1e3}}"]
)
def test_options_that_k6_does_not_know_are_named(options: str) -> None:
    script = _read(f"export const options = {options};\nhttp.get('http://h/p')", "a.js")
    assert "options: are not as k6 has them" in "\n".join(script.remarks)
    assert len(script.calls) == 1


def test_users_beyond_all_numbers_are_named() -> None:
    script = _read("export const options = {vus: 1e400};\nhttp.get('http://h/p')", "a.js")
    assert "options: inf in a document" in "\n".join(script.remarks)
    assert script.users is None


def test_a_pause_without_an_end_is_named() -> None:
    script = _read("http.get('http://h/p');\nsleep(1e400)", "a.js")
    assert "line 2: sleep(…): only a run would tell how long" in script.left_out
    assert script.think is None


def test_each_request_of_a_batch_of_k6_is_read() -> None:
    source = """
    const first = 'http://h/ping';
    http.batch([
      first,
      ['POST', 'http://h/a', JSON.stringify({ text: 'a' }), { headers: { 'X-A': '1' } }],
      { method: 'PUT', url: 'http://h/b', body: 'b' },
      ['GET', 'http://h/c'],
    ]);
    http.batch({ models: { url: 'http://h/d' } });
    http.batch(urls.map((url) => ['GET', url]));
    """
    script = _read(source, "a.js")
    mix = [entry["request"] for entry in _profile(script).content["mix"]]
    assert [each["path"] for each in mix] == ["/ping", "/a", "/b", "/c", "/d"]
    assert [each.get("method", "") for each in mix] == ["", "", "PUT", "", ""]
    assert (mix[1]["json"], mix[1]["headers"], mix[2]["body"]) == ({"text": "a"}, {"X-A": "1"}, "b")
    [remark] = [each for each in script.remarks if "http.batch" in each]
    assert "so its requests are left out" in remark


def test_names_that_only_a_run_fills_are_named() -> None:
    source = """
    const a = b; const b = a;
    http.get('http://h/a', a);
    http.get('http://h/b', __VU);
    http.batch([{ [key]: 1, url: 'http://h/c' }, 'http://h/d']);
    """
    script = _read(source, "a.js")
    assert [call.url for call in script.calls] == ["http://h/c", "http://h/d"]
    remarks = "\n".join(script.remarks)
    assert "line 3: a: only a run would tell" in remarks
    assert "line 4: __VU: only a run would tell" in remarks


@pytest.mark.parametrize("content", [b"def (:", b"x = '\xe9'\0"])
def test_a_locustfile_of_a_command_that_is_not_python_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "l.py").write_bytes(content)
    with pytest.raises(InputError, match="is not Python 3"):
        read(tmp_path / "load.sh", "locust -f l.py -u 5")


def _user(body: str, attributes: str = "") -> str:
    return f"class U(HttpUser):\n{attributes}\n    @task\n    def a(self):\n        {body}\n"


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (
            "self.client.post('/p', files={'f': (os.path.basename('d/k.jpg'), open('d/k.jpg'))})",
            {"form": {"f": "@d/k.jpg"}},
        ),
        (
            "self.client.post('/p', files={'f': ('x.jpg', open('k.jpg'), 'image/jpeg')})",
            {"form": {"f": "@k.jpg;type=image/jpeg;filename=x.jpg"}},
        ),
        ("self.client.post('/{}'.format('p'), data='a')", {"body": "a"}),
        ("self.client.post('/%s' % 'p', data='a')", {"body": "a"}),
        ("self.client.post(f'{HOST}/p', data='a')", {"body": "a"}),
        ("self.client.request(method='PUT', url='/p')", {"method": "PUT"}),
        ("self.client.post('/p', json={'t': open('t.txt').read()})", {"json": {"t": "words"}}),
        (
            "self.client.post('/p', data=json.dumps({'b': base64.b64encode(open('t.txt'))}))",
            {"json": {"b": "d29yZHM="}},
        ),
        (
            "self.client.post('/p', json=random.choice(json.load(open('l.json'))))",
            {"json": {"a": 1}},
        ),
        (
            "self.client.post('/p', data=random.choice(open('t.txt').readlines()))",
            {"bodyLines": "t.txt"},
        ),
        ("self.client.post('/p', json={**BASE, 'b': 2})", {"json": {"a": 1, "b": 2}}),
    ],
)
def test_expressions_that_people_write(body: str, keys: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("words")
    (tmp_path / "l.json").write_text('[{"a": 1}]')
    source = "BASE = {'a': 1}\nHOST = os.environ['HOST']\n" + _user(body)
    [entry] = _profile(read(tmp_path / "locustfile.py", source)).content["mix"]
    assert entry["request"]["path"] == "/p"
    assert keys.items() <= entry["request"].items()


def test_the_scripts_own_functions_are_followed() -> None:
    source = """
def body(text):
    return {"text": text}
class U(HttpUser):
    @task
    def a(self):
        self.ask("cats", 2)
    def ask(self, name, k=1):
        self.client.post(f"/predictions/{name}", json=body("a"), params={"k": k})
"""
    script = _read(source, "locustfile.py")
    [entry] = _profile(script).content["mix"]
    assert entry["request"]["path"] == "/predictions/cats?k=2"
    assert entry["request"]["json"] == {"text": "a"}
    assert not script.left_out


def test_what_differs_in_each_request_is_one_value_and_named() -> None:
    source = _user(
        "self.client.post('/p', json={'x': random.uniform(1, 2), 'n': random.randint(1, 9)})"
    )
    script = _read(source, "locustfile.py")
    [entry] = _profile(script).content["mix"]
    assert entry["request"]["json"] == {"x": 1.5, "n": 5}
    assert "line 5: random.uniform(1, 2) is 1.5 in every request" in script.remarks


def test_a_file_whose_content_is_needed_and_lacks_is_named() -> None:
    source = _user("self.client.post('/p', json={'b': base64.b64encode(open('k.jpg').read())})")
    assert "the content of k.jpg, which cannot be read here" in _read(source, "l.py").left_out[0]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("    wait_time = constant_throughput(5)", {"arrivals": "constant"}),
        ("    wait_time = locust.constant_pacing(2)", {"arrivals": "constant"}),
        ("    min_wait = 500\n    max_wait = 2000", {"thinkTime": {"from": 0.5, "to": 2}}),
    ],
)
def test_waits_of_every_release_are_carried_over(
    attributes: str, expected: dict[str, object]
) -> None:
    source = _user("self.client.get('/p')", attributes)
    assert expected.items() <= _profile(_read(source, "l.py")).content.items()


def test_stages_of_a_shape_are_carried_over() -> None:
    source = (
        _user("self.client.get('/p')")
        + """
class Steps(LoadTestShape):
    stages = [
        {"duration": 60, "users": 10, "spawn_rate": 10},
        {"duration": 120, "users": 50, "spawn_rate": 10},
    ]
"""
    )
    stages = _profile(_read(source, "l.py")).content["stages"]
    assert [(each["kind"], each["seconds"]) for each in stages] == [
        ("ramp", 1),
        ("hold", 59),
        ("ramp", 4),
        ("hold", 56),
    ]


def test_headers_of_the_client_go_with_every_request() -> None:
    source = (
        _user("self.client.post('/p', data='a', headers={'X-B': '2'})")
        + """
    def on_start(self):
        self.client.headers.update({"X-A": "1", "Authorization": f"Bearer {secret()}"})
        self.client.verify = False
"""
    )
    script = _read(source, "l.py")
    [entry] = _profile(script).content["mix"]
    assert entry["request"]["headers"] == {"X-A": "1", "X-B": "2"}
    assert script.insecure


def test_weights_that_a_mapping_gives_are_carried_over() -> None:
    source = """
def one(l): l.client.get("/one")
class Two(TaskSet):
    @task
    def a(self): self.client.get("/two")
class U(HttpUser):
    tasks = {one: 3, Two: 2}
    host = "http://h:1"
"""
    script = _read(source, "l.py")
    assert {call.url: call.weight for call in script.calls} == {
        "http://h:1/one": 3,
        "http://h:1/two": 2,
    }


def test_a_pool_of_threads_sends_each_file() -> None:
    source = """
def send(path):
    with open(path, "rb") as f:
        return requests.post(URL, data=f, timeout=(3, 60))
URL = "http://h:1/predictions/a"
with ThreadPoolExecutor(16) as pool:
    pool.map(send, glob.glob("images/*.jpg") * 10)
"""
    script = _read(source, "client.py")
    [entry] = _profile(script).content["mix"]
    assert entry["request"]["bodyFiles"] == "images/*.jpg"
    assert script.timeout == 60


def test_bytes_that_are_no_text_are_not_sent_as_other_bytes() -> None:
    script = _read(_user(r"self.client.post('/p', data=b'\xff')"), "l.py")
    assert not script.calls
    assert "which is not text: put it in a file" in script.left_out[0]


def test_a_client_by_grpc_is_told_what_a_profile_has_for_it() -> None:
    source = "stub = inference_pb2_grpc.InferenceAPIsServiceStub(channel)"
    assert "protocol: grpc" in _read(source, "client.py").left_out[0]
