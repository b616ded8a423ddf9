"""The whole check: on this checkout, and on one with a fault."""

import datetime
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.core.repository import Repository
from harness.policy import engine, unset
from harness.policy.renamed import FORMER_IDS
from harness.policy.report import as_markdown, as_text
from harness.policy.rule import Rule
from harness.render.renderer import Renderer
from harness.settings import site
from harness.snapshot import config
from tests.support import variation
from tests.support.miniature import Miniature


def _rules(miniature: Miniature, **options: object) -> list[str]:
    report = engine.check(miniature.repository, **options)  # type: ignore[arg-type]
    return [f"{each.rule} {each.location}" for each in report.findings]


def test_this_checkout_passes(checkout: Repository) -> None:
    report = engine.check(checkout)
    assert report.findings == (), as_text(report)
    assert set(report.objects) >= {"local", "staging", "production"}


def test_every_document_of_this_checkout_was_judged(checkout: Repository) -> None:
    """What was not rendered or has no schema is on the list, and the list says why."""
    unseen = [
        each
        for each in engine.check(checkout).suppressed
        if each.finding.rule in ("render/not-rendered", "schema/none")
    ]
    assert all(each.reason and each.expires for each in unseen)
    assert {each.finding.rule for each in unseen} <= {"render/not-rendered"}


def test_a_schema_error_names_the_source_line(miniature: Miniature) -> None:
    miniature.edit("apps/base/service.yaml", "  selector:", "  selectr:")
    assert "schema/invalid apps/base/service.yaml:11" in _rules(miniature)


def test_a_trap_names_its_line(miniature: Miniature) -> None:
    miniature.edit("clusters/demo/site.yaml", '"7"', "on")
    assert "yaml/boolean clusters/demo/site.yaml:8" in _rules(miniature)


def test_a_fault_of_the_render_is_a_finding(miniature: Miniature) -> None:
    miniature.edit("apps/base/kustomization.yaml", "service.yaml", "servcie.yaml")
    assert "render/kustomize apps/base/kustomization.yaml:5" in _rules(miniature)


SERVICE = "apps/base/service.yaml"


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def _large(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(50 << 20)


def _bomb(file: Path) -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)]
    file.write_text("a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(levels))


def _not_utf_8(file: Path) -> None:
    file.write_bytes(b"a: \xff\n")


@pytest.mark.parametrize("spoil", [_loop, _large, _bomb, _not_utf_8])
def test_a_file_that_cannot_be_read_is_a_finding_and_the_rest_goes_on(
    miniature: Miniature, spoil: Callable[[Path], None]
) -> None:
    spoil(miniature.root / SERVICE)
    findings = _rules(miniature)
    (named,) = (each for each in findings if SERVICE in each)
    assert named.startswith("yaml/unreadable ")
    assert "/" not in {location[0] for _, location in (each.split(" ") for each in findings)}


def test_unset_is_a_finding_only_when_strict(miniature: Miniature) -> None:
    finding = "render/unset clusters/demo/release.yaml:8"
    assert finding not in _rules(miniature)
    assert finding in _rules(miniature, strict=True)


def test_strict_asks_for_nothing_that_a_command_fills_in(checkout: Repository) -> None:
    renderer = Renderer(checkout)
    values = engine.check(checkout).unset
    problems = list(unset.problems(values, renderer.tree))
    later = {each.location: command for each in values if (command := unset.by_command(each))}
    assert {str(each.path) for each in later} >= {"clusters/local/release.yaml"}
    assert "make promote" in later.values()
    assert not {each.location for each in problems} & later.keys()
    # What a snapshot has from the lock is the lock's.
    assert {
        str(each.location.path) for each in problems if "models" in each.location.path.parts
    } == {"models/lock.yaml"}
    assert not any("config.properties" in str(each.location) for each in problems)


def test_a_pointer_at_a_commit_that_is_not_here_is_a_finding(tmp_path: Path) -> None:
    repository = variation.copy(tmp_path)
    release = tmp_path / "clusters/production/release.yaml"
    release.write_text(release.read_text().replace("commit: UNSET", f"commit: {'ab' * 20}"))
    for words in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "-m", "first")):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True)
    (finding,) = (
        each for each in engine.check(repository).findings if each.rule == "release/pointer"
    )
    assert "is not in this clone" in finding.message
    assert "git fetch" in finding.fix
    assert "commit:" in release.read_text().splitlines()[(finding.location.line or 0) - 1]


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_what_could_not_be_evaluated_is_said_in_the_format(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--since", "no-such-commit", "--format", form]) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed["version"]
    assert "no-such-commit" in json.dumps(printed)


def test_a_usage_error_is_json_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["check", "--format", "json", "--no-such-option"])
    assert json.loads(capsys.readouterr().out)["exit"] == 2


def test_the_image_s_base_is_counted_among_what_is_unset(miniature: Miniature) -> None:
    file = "apps/torchserve/image/Containerfile"
    (miniature.root / file).parent.mkdir(parents=True)
    miniature.write(file, "# UNSET here is a word\nFROM python@sha256:UNSET AS base\nFROM base\n")
    locations = [str(each.location) for each in engine.check(miniature.repository).unset]
    assert f"{file}:2" in locations
    assert f"render/unset {file}:2" in _rules(miniature, strict=True)


def test_stale_exceptions_are_errors(miniature: Miniature) -> None:
    entry = "- {rule: helm/drift, object: x, reason: nothing needs it, expires: %s}"
    dates = "\n  ".join(entry % day for day in ("2027-06-30", "2026-01-01"))
    miniature.write("exceptions.yaml", f"exceptions:\n  {dates}\n")
    findings = _rules(miniature, today=datetime.date(2027, 1, 1))
    assert "exceptions/unused exceptions.yaml:2" in findings
    assert "exceptions/expired exceptions.yaml:3" in findings


def test_two_runs_say_the_same(miniature: Miniature) -> None:
    assert _rules(miniature) == _rules(miniature)


@pytest.mark.parametrize("rule", engine.load_rules().values(), ids=lambda rule: rule.id)
def test_every_rule_says_why_and_how(rule: Rule) -> None:
    family, _, name = rule.id.partition("/")
    assert family
    assert name == name.lower()
    assert rule.why
    assert rule.fix


def test_the_page_of_rules_is_fresh(checkout: Repository) -> None:
    page = (checkout.root / "docs" / "rules.md").read_text()
    assert page == as_markdown(engine.load_rules()), "run `harness generate`"


def test_explain_prints_why_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--explain", "schema/none"]) == 0
    assert "why: an object without a schema" in capsys.readouterr().out


@pytest.mark.parametrize(("former", "current"), FORMER_IDS.items())
def test_a_former_id_is_explained_by_its_rule_of_today(former: str, current: str) -> None:
    known = engine.load_rules()
    assert former not in known
    assert current in known
    assert cli.main(["check", "--explain", former]) == 0


def test_an_unknown_rule_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--explain", "schema/nome"]) == 2
    assert "no rule 'schema/nome'" in capsys.readouterr().err


def test_check_prints_json_and_leaves_its_reports(
    miniature: Miniature, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(miniature.root)
    miniature.edit("apps/base/service.yaml", "  selector:", "  selectr:")
    assert cli.main(["check", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((miniature.root / "build/check/report.json").read_text())


def test_render_prints_objects_with_their_source(
    miniature: Miniature, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(miniature.root)
    assert cli.main(["render", "--env", "demo", "--only", "Service"]) == 0
    out = capsys.readouterr().out
    assert "# Kustomization/flux-system/apps: apps/base/service.yaml:1" in out
    assert "environment: demo" in out


def test_an_unknown_environment_is_a_wrong_call(
    miniature: Miniature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(miniature.root)
    assert cli.main(["render", "--env", "dmeo"]) == 2


# What a person writes of an environment before there is a cluster.
_SITE = {
    "GIT_URL": "https://git.example.org/team/serving",
    "AWS_ACCOUNT_ID": "444455556666",
    "REGISTRY": "444455556666.dkr.ecr.us-west-2.amazonaws.com",
    "ACME_EMAIL": "ml@team.example",
    "JWT_ISSUER": "https://login.example.org",
    "JWT_JWKS_URI": "https://login.example.org/keys",
    "ADMIN_ROLE_ARN": "arn:aws:iam::444455556666:role/admin",
}
_OWN = {
    "MODEL_BUCKET": "{}-models",
    "EFS_FILE_SYSTEM_ID": "fs-{:0>17}",
    "EFS_LOADER_ACCESS_POINT_ID": "fsap-a{:0>16}",
    "EFS_SERVER_ACCESS_POINT_ID": "fsap-b{:0>16}",
    "DOMAIN": "{}.example.org",
    "KMS_KEY_ARN": "arn:aws:kms:us-west-2:444455556666:key/{}",
    "WORKFLOW_ROLE_ARN": "arn:aws:iam::444455556666:role/workflow-{}",
    "MODEL_SYNC_POLICY_ARN": "arn:aws:iam::444455556666:policy/sync-{}",
    "SOPS_POLICY_ARN": "arn:aws:iam::444455556666:policy/sops-{}",
}


def test_a_repository_that_is_filled_in_passes_strict(tmp_path: Path) -> None:
    """Before its first promotion, and without the address that `make cluster` fills in itself."""
    repository = variation.copy(tmp_path)
    sha256 = "ab" * 32
    digest = f"sha256:{sha256}"
    for env, word in (("staging", "abc"), ("production", "def")):
        ids = {name: form.format(word) for name, form in _OWN.items()}
        site.fill(repository, env, {**_SITE, **ids})
        settings = tmp_path / f"clusters/{env}/site.yaml"
        more = '  GPU_NODE_HOUR_USD: "1"\n  PROVIDED: Secret/torchserve/alert-receivers\n'
        settings.write_text(settings.read_text() + more)
    for file, written, right in (
        ("apps/torchserve/base/helmrelease.yaml", "digest: UNSET", f"digest: {digest}"),
        ("apps/torchserve/image/Containerfile", "@sha256:UNSET", f"@{digest}"),
        ("models/lock.yaml", "UNSET.mar", f"{sha256[:12]}.mar"),
        ("models/lock.yaml", "sha256: UNSET", f"sha256: {sha256}"),
        ("models/lock.yaml", "size: 0\n", "size: 5000000\n"),
    ):
        path = tmp_path / file
        path.write_text(path.read_text().replace(written, right))
    for env in ("local", "staging", "production"):
        for path, text in config.stale(repository, env).items():
            path.write_text(text)

    report = engine.check(repository, strict=True)

    assert report.findings == (), as_text(report)
    assert {unset.by_command(each) for each in report.unset} == {"make cluster", "make promote"}
