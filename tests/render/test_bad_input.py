"""What a hurried or hostile change could hold: an error with a name, and no crash."""

import pytest

from harness.core.problem import Problem
from tests.support.miniature import Miniature

SERVICE = "apps/base/service.yaml"
OVERLAY = "apps/demo/kustomization.yaml"


def _fault(miniature: Miniature) -> Problem:
    faults = miniature.render().faults
    assert len(faults) == 1
    return faults[0]


def _bomb() -> str:
    """Half a million values: more than the limit, and without it not more than memory holds."""
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 6)]
    return "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(levels)


def test_a_yaml_bomb_as_kustomization(miniature: Miniature) -> None:
    miniature.write(OVERLAY, _bomb())
    assert "aliases are expanded" in _fault(miniature).message


def test_a_yaml_bomb_as_resource(miniature: Miniature) -> None:
    kind = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n"
    miniature.write(SERVICE, kind + _bomb())
    fault = _fault(miniature)
    assert "aliases are expanded" in fault.message
    assert fault.location.path.name == "service.yaml"


def test_a_file_of_50_megabytes(miniature: Miniature) -> None:
    with (miniature.root / SERVICE).open("wb") as file:
        file.truncate(50 << 20)
    fault = _fault(miniature)
    assert "larger than 4 MiB" in fault.message
    assert SERVICE in f"{fault.location} {fault.message}"


def test_invalid_utf_8(miniature: Miniature) -> None:
    (miniature.root / OVERLAY).write_bytes(b"resources: [\xff]\n")
    assert "not UTF-8 at byte 12" in _fault(miniature).message


def test_a_loop_of_links(miniature: Miniature) -> None:
    (miniature.root / SERVICE).unlink()
    (miniature.root / SERVICE).symlink_to("service.yaml")
    fault = _fault(miniature)
    assert "cannot be followed" in fault.message
    assert str(fault.location) == "apps/base/kustomization.yaml:5"


@pytest.mark.parametrize(
    "outside",
    ["../../../outside", "/etc", "https://example.com/base", "git::https://example.com/base"],
)
def test_a_kustomization_that_reaches_outside(miniature: Miniature, outside: str) -> None:
    (miniature.root.parent / "outside").mkdir()
    miniature.edit(OVERLAY, "  - ../base\n", f"  - ../base\n  - {outside}\n")
    fault = _fault(miniature)
    assert "reaches outside the repository" in fault.message
    assert str(fault.location) == f"{OVERLAY}:5"


def test_a_link_that_leads_outside(miniature: Miniature) -> None:
    (miniature.root.parent / "secret.yaml").write_text("secret")
    (miniature.root / SERVICE).unlink()
    (miniature.root / SERVICE).symlink_to(miniature.root.parent / "secret.yaml")
    assert "reaches outside the repository" in _fault(miniature).message


def test_kustomizations_in_a_circle(miniature: Miniature) -> None:
    miniature.edit("apps/base/kustomization.yaml", "  - service.yaml", "  - ../demo")
    assert "a circle: apps/demo → apps/base → apps/demo" in _fault(miniature).message


def test_a_template_that_never_ends(miniature: Miniature) -> None:
    endless = (
        '{{ define "x" }}{{ range until 9999 }}{{ range until 9999 }}{{ sha256sum "y" }}{{ end }}'
    )
    template = f'{endless}{{{{ end }}}}{{{{ end }}}}{{{{ include "x" . }}}}'
    miniature.write("apps/chart/templates/endless.yaml", template)
    fault = _fault(miniature)
    assert fault.rule == "render/helm"
    assert "killed after 8 s of CPU" in fault.message


def test_a_template_that_includes_itself(miniature: Miniature) -> None:
    template = '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}'
    miniature.write("apps/chart/templates/endless.yaml", template)
    assert _fault(miniature).rule == "render/helm"


def test_a_folder_without_a_kustomization_file(miniature: Miniature) -> None:
    (miniature.root / OVERLAY).unlink()
    fault = _fault(miniature)
    assert "has no kustomization.yaml" in fault.message
    assert str(fault.location) == "clusters/demo/apps.yaml:8"
