"""Which pods a change replaces, and whether a package or a setting does it."""

from pathlib import Path

from harness.core.errors import Location
from harness.image_sets import Installed
from harness.render.diff import as_data, as_markdown
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment


def _deployment(name: str, image: str = "torchserve@sha256:1", **annotations: str) -> Object:
    value = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "torchserve"},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "torchserve", "image": image}]},
            },
        },
    }
    owner = Owner("HelmRelease", "flux-system", name)
    return Object(value, owner, lambda *_: Location(Path("a.yaml"), 1))


def _environment(*objects: Object, **packages: dict[str, str]) -> Environment:
    groups = {each.name: "default" if each.name == "torchserve" else "text" for each in objects}
    return Environment("demo", "", objects, installed=Installed(packages, groups))


def _replacements(old: Environment, new: Environment) -> list[str]:
    text = as_markdown(old, new)
    listing = text.partition("**Pods that are replaced**\n\n")[2]
    return [line.removeprefix("- ") for line in listing.split("\n\n")[0].splitlines()]


def test_a_package_that_is_locked_names_the_groups_that_its_next_image_replaces() -> None:
    both = (_deployment("torchserve"), _deployment("speech"))
    old = _environment(*both, default={"numpy": "1"}, text={"numpy": "1"})
    new = _environment(*both, default={"numpy": "1"}, text={"numpy": "2", "onnxruntime": "1"})
    [line] = _replacements(old, new)
    assert line.startswith("speech, once the next image of set text is pinned")
    assert line.endswith("(make image-pin SET=text): numpy 1 → 2, + onnxruntime 1")
    [following] = as_data(old, new)["replacedByTheNextImage"]
    assert following == {
        "set": "text",
        "groups": ["speech"],
        "packages": ["numpy 1 → 2", "+ onnxruntime 1"],
    }


def test_a_new_image_says_which_packages_differ_in_it() -> None:
    old = _environment(_deployment("torchserve"), default={"numpy": "1"})
    new = _environment(_deployment("torchserve", "torchserve@sha256:2"), default={"numpy": "2"})
    assert _replacements(old, new) == ["Deployment/torchserve/torchserve: image (numpy 1 → 2)"]


def test_settings_replace_the_pods_of_their_group_alone() -> None:
    name = "torchserve/config.properties"
    old = _environment(_deployment("torchserve", **{name: "a\nb"}), _deployment("speech"))
    new = _environment(_deployment("torchserve", **{name: "a\nc"}), _deployment("speech"))
    assert _replacements(old, new) == ["Deployment/torchserve/torchserve: config.properties"]


def test_more_replicas_and_a_new_group_replace_nothing() -> None:
    more = _deployment("torchserve")
    more.value["spec"]["replicas"] = 3  # type: ignore[index]
    old, new = _environment(_deployment("torchserve")), _environment(more, _deployment("speech"))
    assert _replacements(old, new) == []


def test_a_group_that_comes_to_another_set_gets_what_that_set_has() -> None:
    old = _environment(_deployment("speech"), default={"numpy": "1"}, text={"numpy": "2"})
    old.installed.groups["speech"] = "default"  # type: ignore[index]
    new = _environment(
        _deployment("speech", "x@sha256:2"), default={"numpy": "1"}, text={"numpy": "2"}
    )
    assert _replacements(old, new) == ["Deployment/torchserve/speech: image (numpy 1 → 2)"]


def test_a_great_change_is_cut() -> None:
    old = _environment(_deployment("torchserve"), default={f"p{n}": "1" for n in range(50)})
    new = _environment(_deployment("torchserve"), default={f"p{n}": "2" for n in range(50)})
    [line] = _replacements(old, new)
    assert line.endswith("… and 42 more")
