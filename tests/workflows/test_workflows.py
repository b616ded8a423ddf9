"""Every workflow: pinned, with the fewest rights, and nothing but make in its shell."""

import itertools
import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tests.workflows.files import EXPRESSION, MAKEFILE, ROOT, STEPS, WORKFLOWS, Step, Workflow

_EACH = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.path.name)
_PIN = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<sha>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)")
_CLUSTER = (
    """aws eks update-kubeconfig --name "$(awk '$1 == "name:" {print $2; exit}' """
    """"clusters/$ENV/eksctl.yaml")" --alias "$ENV\""""
)
_NO_LINKS = 'test -z "$(find "$REPORT" -type l)"'

PULL_REQUEST = """\
open=$(gh pr list --head promote/production --state open --json number --jq '.[].number')
if [ -n "$open" ]; then
  gh pr edit "$open" --body-file build/promote/production.md
else
  gh pr create --base main --head promote/production --title "Promote to production" \
--body-file build/promote/production.md
fi"""
# What a shell runs apart from `make TARGET`, and why it is not a target.
SHORT_LIST = {
    _CLUSTER: "the cluster's login: AWS' own program, with the role of the job",
    'cosign sign --yes "$IMAGE"': "signing: by the identity that only the workflow has",
    "cosign attest --yes --type cyclonedx --predicate build/audit/sbom.cdx.json"
    ' "$IMAGE"': "signing",
    "gh auth setup-git": "the login of git, for one job",
    PULL_REQUEST: "GitHub's program",
    'gh release create "production-$GITHUB_RUN_NUMBER" --target "$GITHUB_SHA"'
    ' --title "Production $GITHUB_RUN_NUMBER" --notes-file "$NOTES"': "the same",
    "git diff --output=build/change.patch": "handed from the job that runs code to one that writes",
    "git add --intent-to-add models && git diff --output=build/change.patch": "the same, new files",
    'git apply --allow-empty "$CHANGE"': "applied by Git alone, which follows no link",
    'git apply --allow-empty "$RUNNER_TEMP"/changes/change*/change.patch': "the same, by set",
    'git apply --allow-empty --include=models/lock.yaml "$CHANGE"': "the same, where make runs on",
    _NO_LINKS: "the output of a pull request's job, before an action reads it",
}
# A key goes to make by a pipe: it is in no file, no argument, and no variable of what make starts.
_PIPED = "printenv EVIDENCE_KEY | env -u EVIDENCE_KEY "


def _target(step: Step) -> str | None:
    match = re.fullmatch(rf"({re.escape(_PIPED)})?make ([a-z0-9-]+)", step.run)
    return match[2] if match else None


def test_there_is_a_workflow_for_everything_that_is_promised() -> None:
    names = {each.path.stem for each in WORKFLOWS}
    assert names == {
        *("check", "drift", "e2e", "image", "loadtest", "models"),
        *("promote", "release-notes", "requirements", "smoke"),
    }


def test_a_pull_request_into_any_branch_is_checked() -> None:
    """Production may pin a commit of release/*, too: see docs/workflows.md on its protection."""
    (check,) = (each for each in WORKFLOWS if each.path.stem == "check")
    assert check.events["pull_request"] == "", "no branches, no paths: it is required by name"
    assert {"review", "test"} <= {job["name"] for job in check.jobs.values()}


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
    pins_by_action = defaultdict(set)
    for workflow in WORKFLOWS:
        for pin in _PIN.finditer(workflow.text):
            pins_by_action[pin["action"]].add((pin["sha"], pin["version"]))
    assert pins_by_action
    assert {action: pins for action, pins in pins_by_action.items() if len(pins) > 1} == {}


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
        texts = {step.run for step in workflow.steps() if step.job == name}
        runs = texts - {"", _NO_LINKS}
        writes = "write" in job["permissions"].values()
        assert not (runs and writes), name
        assert "environment" not in job and "secrets." not in str(job), name


JOBS = [(workflow, name) for workflow in WORKFLOWS for name in workflow.jobs]
_EACH_JOB = pytest.mark.parametrize(
    ("workflow", "name"), JOBS, ids=[f"{workflow.path.stem}: {name}" for workflow, name in JOBS]
)
# Targets that run what a model brings: its packages, its weights, its code.
_RUNS_MODELS = re.compile(r"models build|\$\(HARNESS\) (?:demo|serve)|-m (?:pytest|bench)")
_CREDENTIALS = re.compile(r"aws-actions/|docker/login-action|gh auth")
# Jobs that may write to the repository and run targets all the same, and why.
_WRITES = {("promote.yaml", "promote"): "the harness makes, signs and pushes the pointer's commit"}


def _steps(workflow: Workflow, job: str) -> list[Step]:
    return [step for step in workflow.steps() if step.job == job]


@_EACH_JOB
def test_model_code_runs_in_a_job_without_credentials(workflow: Workflow, name: str) -> None:
    targets = {_target(step) for step in _steps(workflow, name)} - {None}
    job = workflow.jobs[name]
    if any(_RUNS_MODELS.search(MAKEFILE.recipes[str(target)]) for target in targets):
        # An identity token is for whoever runs in the job, before and after it becomes a role.
        assert job["permissions"] == {"contents": "read"}
        assert "environment" not in job and not re.search(r"secrets\.|github\.token", str(job))
        assert not _CREDENTIALS.search(str(job))


@_EACH_JOB
def test_packages_are_installed_before_there_are_credentials(workflow: Workflow, name: str) -> None:
    steps = _steps(workflow, name)
    gets = [index for index, step in enumerate(steps) if _CREDENTIALS.search(str(step.value))]
    makes = [index for index, step in enumerate(steps) if _target(step)]
    if gets and makes:
        assert makes[0] < gets[0]
        assert len({steps[index].environment.get("TORCH") for index in makes}) == 1


@_EACH_JOB
def test_a_job_that_may_write_to_the_repository_runs_no_target(
    workflow: Workflow, name: str
) -> None:
    if workflow.jobs[name]["permissions"].get("contents") == "write":
        runs = any(_target(step) for step in _steps(workflow, name))
        assert runs == ((workflow.path.name, name) in _WRITES)


@_EACH_JOB
def test_a_change_by_another_job_brings_no_code_to_one_that_runs_targets(
    workflow: Workflow, name: str
) -> None:
    steps = _steps(workflow, name)
    if any(_target(step) for step in steps):
        for step in steps:
            assert "git apply" not in step.run or "--include=models/lock.yaml " in step.run


@pytest.mark.parametrize(
    "step", [step for step in STEPS if step.uses.startswith("actions/download-artifact@")], ids=str
)
def test_an_artifact_is_unpacked_where_nothing_is_run_and_nothing_links(step: Step) -> None:
    workflow = next(each for each in WORKFLOWS if each.path.name == step.workflow)
    outside = step.inputs["path"].startswith("${{ runner.temp }}/")
    # What main has in its checkout was reviewed, and under build/ it has nothing.
    data = re.fullmatch(r"build/(canary|models(/model-store)?|promote)", step.inputs["path"])
    assert outside or (data and "pull_request" not in workflow.events)


@pytest.mark.parametrize(
    "workflow",
    [each for each in WORKFLOWS if "repository_dispatch" in each.events],
    ids=lambda each: each.path.name,
)
def test_an_event_ends_no_run_before_it_was_judged(workflow: Workflow) -> None:
    around = workflow.value["concurrency"]
    assert around["cancel-in-progress"] == "false" and "github.run_id" in around["group"]
    [judge] = {step.job for step in workflow.steps() if _target(step) == "event"}
    for name, job in workflow.jobs.items():
        needed = job.get("needs")
        assert name == judge or "client_payload" not in str(job.get("concurrency"))
        if "concurrency" in job:
            assert needed == judge, f"{name} ends another run before {judge} has judged the event"


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
    read = set(re.findall(r"\$\$(\w+)", recipe)) & MAKEFILE.settings
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
def test_a_workflow_reaches_the_cluster_of_its_runner(step: Step) -> None:
    workflow = next(each for each in WORKFLOWS if each.path.name == step.workflow)
    job = workflow.jobs[step.job]
    matrix = job.get("strategy", {}).get("matrix", {}).get("environment", [])
    for env in matrix or [step.environment["ENV"]]:
        runner = str(job["runs-on"]).replace("${{ matrix.environment }}", env)
        assert runner.startswith(f"codebuild-torchserve-{env}-")


@pytest.mark.parametrize("env", ["staging", "production"])
def test_the_cluster_that_workflows_reach_is_that_of_eksctl(env: str) -> None:
    """They take its name by ``awk``: it is the first key ``name``, and bare."""
    text = (ROOT / f"clusters/{env}/eksctl.yaml").read_text()
    first = re.search(r"(?m)^ *name: (.*)$", text)
    assert first
    assert first[1] == yaml.safe_load(text)["metadata"]["name"]


def test_every_test_runs_once() -> None:
    """With a second try, an interpreter that dies in the first leaves most tests unasked."""
    for target in ("test", "e2e"):
        assert not re.search(
            r"--(last-failed|lf|failed-first|ff|reruns)\b", MAKEFILE.recipes[target]
        ), target
    assert MAKEFILE.recipes["e2e"].count("-m pytest") == 1
    runs = re.findall(r'-m pytest -m "([^"]+)"', MAKEFILE.recipes["test"])
    assert MAKEFILE.recipes["test"].count("-m pytest") == len(runs) == 2
    for alone, torchserve in itertools.product((False, True), repeat=2):
        markers = {"alone": alone, "torchserve": torchserve}
        selected = [eval(run, {"__builtins__": {}}, markers) for run in runs]  # noqa: S307  our own
        assert sorted(selected) == [False, True], markers


def test_what_is_installed_from_a_package_index_has_its_hashes() -> None:
    script = (ROOT / "tools" / "setup.sh").read_text().replace("\\\n", " ")
    installs = re.findall(r"^ *(?:install|\S+ (?:-m )?pip install) .*", script, re.MULTILINE)
    unhashed = [line.strip() for line in installs if "--require-hashes" not in line]
    assert len(installs) == 6, installs
    uv = '"$uv" pip install --python "$venv/bin/python"'
    assert unhashed == [
        f'{uv} --no-deps "${{compile[@]:---compile-bytecode}}" "$@"',  # what `install` runs
        'install --requirement "$venv/requirements.txt"',  # TORCH=cpu: the lock has other hashes
        f'{uv} --torch-backend "$torch" --requirement "$venv/torch.txt"',
        f"{uv} --quiet --no-deps --editable .",
    ]


@pytest.mark.parametrize("number", ["", "12"])
def test_a_promotion_that_is_renewed_edits_its_pull_request(tmp_path: Path, number: str) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$@" >> called\n[ "$2" = list ] && echo "{number}" || exit 0\n')
    gh.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = ["bash", "-eo", "pipefail", "-c", PULL_REQUEST]
    subprocess.run(argv, cwd=tmp_path, env=path, check=True, timeout=30)
    query, called = (tmp_path / "called").read_text().splitlines()
    assert query.startswith("pr list --head promote/production --state open")
    assert called.startswith(f"pr edit {number} " if number else "pr create --base main --head")
    assert called.endswith("--body-file build/promote/production.md")
