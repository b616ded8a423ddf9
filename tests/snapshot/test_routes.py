"""The routes of a group: every model's requests to its own Service, within Gateway API's limits."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.snapshot import routes
from harness.snapshot.routes import Cors, Group, Protocol

NAMES = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=12).filter(
        lambda name: name[0].isalnum()
    ),
    unique=True,
    max_size=300,
)
PROTOCOLS = st.lists(st.sampled_from(list(Protocol)), min_size=1, unique=True)


def group(models: Sequence[str], **others: Any) -> Group:
    return Group(name="vision", first=False, models=models, **others)


def matches(objects: Sequence[Any]) -> list[dict[str, Any]]:
    rules = [rule for each in objects for rule in each["spec"]["rules"]]
    return [match for rule in rules for match in rule["matches"]]


@settings(max_examples=25)
@given(NAMES, PROTOCOLS)
def test_no_route_exceeds_the_limits_of_gateway_api(
    names: list[str], protocols: list[Protocol]
) -> None:
    for route in routes.http_routes(group(names, protocols=protocols)):
        sizes = [len(rule["matches"]) for rule in route["spec"]["rules"]]
        assert 1 <= len(sizes) <= 16
        assert max(sizes) <= 64
        assert sum(sizes) <= 128


@settings(max_examples=25)
@given(NAMES, PROTOCOLS)
def test_each_path_stands_once_whatever_the_number_of_routes(
    names: list[str], protocols: list[Protocol]
) -> None:
    objects = routes.http_routes(group(names, protocols=protocols))
    texts = [str(match) for match in matches(objects)]
    assert len(texts) == len(set(texts))
    if Protocol.TORCHSERVE in protocols:
        paths = {match["path"]["value"] for match in matches(objects)}
        assert {f"/predictions/{name}" for name in names} <= paths
    assert len({route["metadata"]["name"] for route in objects}) == len(objects)


@settings(max_examples=25)
@given(NAMES, st.sampled_from(["new", "another-one", "zzz"]))
def test_a_model_that_is_added_moves_no_other_one(names: list[str], added: str) -> None:
    before = routes.http_routes(group([name for name in names if name != added]))
    after = routes.http_routes(group([*(name for name in names if name != added), added]))
    if len(before) != len(after):
        # Every name is new then: Flux applies them all before it prunes one.
        assert not {str(each["metadata"]) for each in before} & {
            str(each["metadata"]) for each in after
        }
        return
    for old, new in zip(before, after, strict=True):
        assert {str(match) for match in matches([old])} <= {str(match) for match in matches([new])}


@settings(max_examples=25)
@given(NAMES, PROTOCOLS)
def test_the_same_group_gives_the_same_bytes_in_any_order(
    names: list[str], protocols: list[Protocol]
) -> None:
    text = routes.dump("# header\n", routes.http_routes(group(names, protocols=protocols)))
    again = routes.http_routes(group(list(reversed(names)), protocols=protocols))
    assert text == routes.dump("# header\n", again)
    assert list(yaml.safe_load_all(text)) == again or not again


def test_a_path_ends_at_an_element_and_is_encoded() -> None:
    [route] = routes.http_routes(group(["a b"]))
    assert [match["path"] for match in matches([route])] == [
        {"type": "PathPrefix", "value": "/predictions/a%20b"},
        {"type": "PathPrefix", "value": "/explanations/a%20b"},
    ]


@pytest.mark.parametrize(
    ("protocol", "paths"),
    [
        (Protocol.TORCHSERVE, {"/predictions/cat", "/explanations/cat"}),
        (Protocol.KSERVE_V1, {"/v1/models/cat:predict", "/v1/models/cat:explain"}),
        (
            Protocol.OIP,
            {"/v2", "/v2/health", "/v2/models/cat", "/inference.GRPCInferenceService"},
        ),
        (Protocol.SAGEMAKER, {"/invocations", "/models/cat/invoke"}),
    ],
)
def test_a_protocol_is_a_family_of_paths(protocol: Protocol, paths: set[str]) -> None:
    objects = routes.http_routes(group(["cat"], protocols=[protocol]))
    assert {match["path"]["value"] for match in matches(objects)} == paths


@pytest.mark.parametrize("protocol", Protocol)
@given(model=st.text("a-Z_.09 é%/:", min_size=1).filter(lambda name: name.strip("./:")))
def test_a_models_requests_name_it_by_every_path(protocol: Protocol, model: str) -> None:
    for match in routes.http_routes(Group("a", True, (model,), (protocol,)))[0]["spec"]["rules"][0][
        "matches"
    ]:
        path = match["path"]["value"]
        query = "&".join(
            f"{each['name']}={quote(each['value'], safe='')}"
            for each in match.get("queryParams", [])
        )
        if not path.startswith("/v2/health") and path != "/v2":
            assert routes.model_of(f"{path}?{query}") == model


@pytest.mark.parametrize(
    "path", ["/", "/ping", "/predictions", "/predictions/", "/v2", "/v2/health/ready", "/models/m"]
)
def test_a_path_without_a_model_names_none(path: str) -> None:
    assert routes.model_of(path) is None


def test_every_path_leads_to_the_groups_service() -> None:
    [route] = routes.http_routes(group(["cat"]))
    [rule] = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "vision", "port": 8080}]
    assert "filters" not in rule


def test_browsers_of_other_origins_are_a_filter_of_the_route() -> None:
    cors = Cors(origins=("https://app.example.com",), headers=("authorization",))
    [route] = routes.http_routes(group(["cat"], cors=cors))
    [rule] = route["spec"]["rules"]
    assert rule["filters"] == [
        {
            "type": "CORS",
            "cors": {
                "allowOrigins": ["https://app.example.com"],
                "allowHeaders": ["authorization"],
            },
        }
    ]


def test_the_first_group_has_the_gateways_own_grpc_host() -> None:
    first = routes.grpc_route(Group("torchserve", first=True, models=["cat"]))
    other = routes.grpc_route(group(["cat"], protocols=[Protocol.TORCHSERVE, Protocol.OIP]))
    assert first["spec"]["hostnames"] == ["torchserve-grpc.${DOMAIN}"]
    assert other["spec"]["hostnames"] == ["vision.torchserve-grpc.${DOMAIN}"]
    [rule] = other["spec"]["rules"]
    assert [match["method"]["service"] for match in rule["matches"]] == [
        "org.pytorch.serve.grpc.inference.InferenceAPIsService",
        "org.pytorch.serve.grpc.openinference.GRPCInferenceService",
    ]


def test_a_client_of_the_open_inference_protocol_is_led_to_torchserves_service() -> None:
    *_, alias = routes.http_routes(group(["cat"], protocols=[Protocol.OIP]))
    assert alias["spec"]["hostnames"] == ["vision-v2.torchserve-grpc.${DOMAIN}"]
    [rule] = alias["spec"]["rules"]
    assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == (
        "/org.pytorch.serve.grpc.openinference.GRPCInferenceService"
    )
    assert rule["backendRefs"] == [{"name": "vision", "port": 7070}]


def test_a_group_without_models_has_no_route_and_its_file_is_a_comment() -> None:
    assert routes.http_routes(group([])) == []
    assert routes.dump("# header\n", []) == "# header\n"
