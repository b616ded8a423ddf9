"""Every workflow: pinned, with the fewest rights, and nothing but make in its shell."""

import re
from collections import defaultdict

import pytest
import yaml

from tests.workflows.files import EXPRESSION, MAKEFILE, ROOT, STEPS, WORKFLOWS, Step, Workflow

_EACH = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.path.name)
_PIN = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<sha>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)")
_CLUSTER = 'aws eks update-kubeconfig --name "$CLUSTER" --alias "$ENV"'

# What a shell is given beside `make TARGET`, and why it is no target.
SHORT_LIST = {
    _CLUSTER: "the cluster's login: AWS' own program, with the role of the job",
    'cosign sign --yes "$IMAGE"': "signing: by the identity that only the workflow has",
    "cosign attest --yes --type cyclonedx --predicate build/audit/sbom.cdx.json"
    ' "$IMAGE"': "signing",
    "gh auth setup-git": "the login of git, for one job",
    "gh pr create --base main --head promote/production"
    ' --title "Promote to production" --body-file build/promote/production.md': "GitHub's program",
    'gh release create "production-$GITHUB_RUN_NUMBER" --target "$GITHUB_SHA"'
    ' --title "Production $GITHUB_RUN_NUMBER" --notes-file build/notes/production.md': "the same",
}
# A key goes to make by a pipe: it is in no file, no argument, and no variable of what make starts.
_PIPED = "printenv EVIDENCE_KEY | env -u EVIDENCE_KEY "


def _target(step: Step) -> str | None:
    found = re.fullmatch(rf"({re.escape(_PIPED)})?make ([a-z0-9-]+)", step.run)
    return found[2] if found else None


def test_there_is_a_workflow_for_everything_that_is_promised() -> None:
    names = {each.path.stem for each in WORKFLOWS}
    assert names == {
        *("check", "drift", "e2e", "image", "loadtest", "models"),
        *("promote", "release-notes", "requirements", "smoke"),
    }


@_EACH
def test_nothing_is_permitted_unless_a_job_says_so(workflow: Workflow) -> None:
    assert workflow.value["permissions"] == {}
    for job in workflow.jobs.values():
        assert isinstance(job["permissions"], dict)
        assert set(job["permissions"].values()) <= {"read", "write"}


@_EACH
def test_every_run_ends_and_knows_its_neighbours(workflow: Workflow) -> None:
    assert set(workflow.value["concurrency"]) == {"group", "cancel-in-progress"}
    for job in workflow.jobs.values():
        assert 5 <= int(str(job["timeout-minutes"])) <= 120
        assert "latest" not in str(job["runs-on"])


@_EACH
def test_every_action_is_pinned_by_its_commit_with_its_version(workflow: Workflow) -> None:
    written = [line for line in workflow.text.splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert len(written) == sum(bool(step.uses) for step in workflow.steps())
    for line in written:
        assert _PIN.search(line), line


def test_an_action_has_one_version_everywhere() -> None:
    found = defaultdict(set)
    for workflow in WORKFLOWS:
        for pin in _PIN.finditer(workflow.text):
            found[pin["action"]].add((pin["sha"], pin["version"]))
    assert found
    assert {action: pins for action, pins in found.items() if len(pins) > 1} == {}


def test_no_checkout_keeps_a_credential() -> None:
    checkouts = [step for step in STEPS if step.uses.startswith("actions/checkout@")]
    assert checkouts
    for step in checkouts:
        assert step.inputs.get("persist-credentials") == "false", step


@_EACH
def test_no_one_elses_code_runs_with_rights(workflow: Workflow) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow.events)
    if "pull_request" not in workflow.events:
        return
    for name, job in workflow.jobs.items():
        runs = any(step.run for step in workflow.steps() if step.job == name)
        writes = "write" in job["permissions"].values()
        assert not (runs and writes), name
        assert "environment" not in job and "secrets." not in str(job), name


@pytest.mark.parametrize("step", [step for step in STEPS if step.run], ids=str)
def test_a_shell_is_given_a_target_of_the_makefile_or_what_is_listed(step: Step) -> None:
    assert not EXPRESSION.search(step.run)
    if (target := _target(step)) is None:
        assert step.run in SHORT_LIST
    else:
        assert target in MAKEFILE.recipes


def test_what_is_listed_is_used() -> None:
    assert set(SHORT_LIST) == {step.run for step in STEPS if step.run and not _target(step)}


@pytest.mark.parametrize("step", [step for step in STEPS if _target(step)], ids=str)
def test_what_a_target_reads_is_given_to_it(step: Step) -> None:
    recipe = MAKEFILE.recipes.get(str(_target(step)), "")
    read = set(re.findall(r"\$\$(\w+)", recipe)) & MAKEFILE.given
    # BASE has a default that is right after a full checkout; without CONTEXT, clusters are made,
    # and without LAG nobody in them is late; without ROOT, audit looks at its own environment.
    assert read - {"BASE", "CONTEXT", "LAG", "ROOT"} <= set(step.environment)


# What whoever opens a pull request, sends an event or starts a run writes as they like.
_ANYBODYS = re.compile(
    r"inputs\.|client_payload|head_ref|github\.ref_name|github\.event\.(?!pull_request\.head\.repo)"
)


def _places(value: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in _places(inner, (*path, key))]
    if isinstance(value, list):
        return [each for inner in value for each in _places(inner, path)]
    return [(path, str(value))]


@_EACH
def test_what_anybody_may_write_reaches_a_shell_as_a_variable_at_most(workflow: Workflow) -> None:
    for path, text in _places(workflow.value):
        used = path[-1] == "if" or EXPRESSION.search(text)
        if used and _ANYBODYS.search(text):
            assert path[-1] == "if" or "env" in path or path[0] == "concurrency", path


@pytest.mark.parametrize("step", [step for step in STEPS if step.run == _CLUSTER], ids=str)
def test_the_clusters_are_those_of_eksctl(step: Step) -> None:
    workflow = next(each for each in WORKFLOWS if each.path.name == step.workflow)
    job = workflow.jobs[step.job]
    rows = job.get("strategy", {}).get("matrix", {}).get("include", [])
    named = [(row["environment"], row["cluster"]) for row in rows] or [
        (step.environment["ENV"], step.environment["CLUSTER"])
    ]
    for env, cluster in named:
        config = yaml.safe_load((ROOT / f"clusters/{env}/eksctl.yaml").read_text())
        assert config["metadata"]["name"] == cluster
        runner = str(job["runs-on"]).replace("${{ matrix.environment }}", env)
        assert runner.startswith(f"codebuild-torchserve-{env}-")
