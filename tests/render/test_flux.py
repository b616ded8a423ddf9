"""An environment is rendered as Flux and Helm would apply it."""

from harness.render.objects import Object
from tests.support.miniature import Miniature


def _one(miniature: Miniature, kind: str, name: str) -> Object:
    environment = miniature.render()
    assert environment.faults == ()
    match = environment.find(kind, name)
    assert match is not None
    return match


def test_substitutes_site_inline_and_default_values(miniature: Miniature) -> None:
    labels = _one(miniature, "Service", "web").labels
    assert labels["zone"] == "zone-7"
    assert labels["inline"] == "given"
    assert labels["default"] == "fallback"


def test_adds_the_common_metadata_of_the_kustomization(miniature: Miniature) -> None:
    assert _one(miniature, "Service", "web").labels["environment"] == "demo"


def test_merges_the_patches_of_the_kustomization_after_the_folders_own(
    miniature: Miniature,
) -> None:
    service = _one(miniature, "Service", "web")
    assert service.annotations == {"from": "flux"}
    assert service.dig("spec", "ports", 0, "port") == 8080


def test_does_not_substitute_where_it_is_disabled(miniature: Miniature) -> None:
    settings = _one(miniature, "ConfigMap", "settings")
    assert settings.dig("data", "settings.txt") == "a=1,b={x}\npattern=^x$$\n"


def test_values_come_in_flux_order(miniature: Miniature) -> None:
    deployment = _one(miniature, "Deployment", "web")
    assert deployment.dig("spec", "replicas") == 2
    image = deployment.dig("spec", "template", "spec", "containers", 0, "image")
    assert image == "111122223333.dkr.ecr.us-west-2.amazonaws.com/web"


def test_a_literal_value_arrives_as_it_is_written(miniature: Miniature) -> None:
    config = [each for each in miniature.render().of("ConfigMap") if each.namespace == "demo"]
    assert config[0].dig("data", "settings.txt") == "a=1,b={x}\npattern=^x$$\n"


def test_a_value_that_set_would_split_is_refused(miniature: Miniature) -> None:
    miniature.edit("apps/base/helmrelease.yaml", "      literal: true\n", "")
    (fault,) = miniature.render().faults
    assert fault.rule == "render/helm"
    assert "literal: true" in str(fault.fix)
    assert str(fault.location) == "apps/base/helmrelease.yaml:18"


def test_hooks_are_rendered(miniature: Miniature) -> None:
    assert _one(miniature, "Job", "prepare").owner.kind == "HelmRelease"


def test_helm_objects_land_in_the_target_namespace(miniature: Miniature) -> None:
    assert _one(miniature, "Deployment", "web").namespace == "demo"


def test_unset_values_get_placeholders_and_are_named(miniature: Miniature) -> None:
    environment = miniature.render()
    places = {str(each.location) for each in environment.unset}
    assert "clusters/demo/release.yaml:8" in places
    assert "clusters/demo/site.yaml:7" in places
    assert "apps/demo/files.yaml:1" in places
    release = environment.find("GitRepository", "release")
    assert release is not None
    assert release.dig("spec", "url") == "https://git.example.com/platform/torchserve-gitops.git"


def test_a_variable_without_a_value_is_a_fault_at_its_line(miniature: Miniature) -> None:
    miniature.edit("apps/base/service.yaml", "${INLINE}", "${INLIEN}")
    (fault,) = miniature.render().faults
    assert (fault.rule, str(fault.location)) == ("render/variable", "apps/base/service.yaml:8")


def test_a_missing_source_is_a_fault_at_the_reference(miniature: Miniature) -> None:
    miniature.edit("clusters/demo/apps.yaml", "    name: release\n", "    name: relaese\n")
    (fault,) = miniature.render().faults
    assert "GitRepository/flux-system/relaese not found" in fault.message
    assert str(fault.location) == "clusters/demo/apps.yaml:12"


def test_a_missing_path_is_a_fault_at_the_path(miniature: Miniature) -> None:
    miniature.edit("clusters/demo/apps.yaml", "./apps/demo", "./apps/dmeo")
    (fault,) = miniature.render().faults
    assert "does not exist" in fault.message
    assert str(fault.location) == "clusters/demo/apps.yaml:8"


def test_a_chart_of_the_network_is_named(miniature: Miniature) -> None:
    miniature.edit("apps/base/helmrelease.yaml", "kind: GitRepository", "kind: HelmRepository")
    (fault,) = miniature.render().faults
    assert (fault.rule, fault.object) == ("render/not-rendered", "HelmRelease/flux-system/web")


def test_an_error_of_a_template_names_its_line(miniature: Miniature) -> None:
    miniature.edit("apps/chart/templates/deployment.yaml", ".Values.port", ".Values.port | fail")
    (fault,) = miniature.render().faults
    assert fault.location.path.name == "deployment.yaml"
    assert fault.location.line == 20


def test_one_kustomization_that_fails_leaves_the_others(miniature: Miniature) -> None:
    miniature.edit("apps/demo/kustomization.yaml", "  - ../base", "  - ../base\n  - absent.yaml")
    environment = miniature.render()
    assert [each.rule for each in environment.faults] == ["render/kustomize"]
    assert environment.find("ConfigMap", "site") is not None


def test_the_second_render_starts_no_program(miniature: Miniature) -> None:
    first = miniature.render()
    (miniature.root / "build" / "tools").unlink()
    assert [each.value for each in miniature.render().objects] == [
        each.value for each in first.objects
    ]
