"""What a newcomer reads is so: targets, files, environments, owners."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.commands import VERBS
from tests.workflows.files import EXPRESSION, MAKEFILE, ROOT, WORKFLOWS

_GUIDE = (ROOT / "docs/workflows.md").read_text()
_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/workflows.md")
_FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def _rows(heading: str) -> list[list[str]]:
    """The rows of the table whose first column has a heading."""
    lines = iter(_GUIDE.splitlines())
    for line in lines:
        if line.strip().startswith(f"| {heading} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.strip().startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


@pytest.mark.parametrize("page", _PAGES)
def test_every_target_and_every_verb_of_a_page_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"(?:^|[`\s])make ([a-z][a-z0-9-]+)", text))
    assert targets <= set(MAKEFILE.recipes)
    verbs = set(re.findall(r"harness ([a-z]+)", text)) - {"check", "policy"}
    assert verbs <= set(VERBS)


@pytest.mark.parametrize("page", _PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    path = ROOT / page
    text = path.read_text()
    linked = {path.parent / link.partition("#")[0] for link in re.findall(r"\]\(([^):]+)\)", text)}
    named = {
        ROOT / name for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text) if "<" not in name
    }
    missing = [str(each) for each in linked | named if not each.exists()]
    assert missing == []


def test_the_guide_has_every_workflow() -> None:
    listed = {row[0].strip("`") for row in _rows("workflow")}
    assert listed == {str(workflow.value["name"]) for workflow in WORKFLOWS}


def test_the_guide_has_every_environment_with_what_its_jobs_read() -> None:
    read: dict[str, dict[str, set[str]]] = defaultdict(lambda: {"vars": set(), "secrets": set()})
    for workflow in WORKFLOWS:
        for job in workflow.jobs.values():
            for name in _environments(job):
                for expression in EXPRESSION.findall(str(job)):
                    for kind, variable in re.findall(r"\b(vars|secrets)\.(\w+)", expression):
                        read[name][kind].add(variable)
    listed = {
        row[0].strip("`"): {
            "vars": set(re.findall(r"`(\w+)`", row[1])),
            "secrets": set(re.findall(r"`(\w+)`", row[2])),
        }
        for row in _rows("environment")
    }
    assert listed == dict(read)


def _environments(job: dict[str, Any]) -> list[str]:
    """The environments of GitHub that a job runs in, one for each entry of its matrix."""
    name = str(job.get("environment", ""))
    matrix = job.get("strategy", {}).get("matrix", {})
    entries = [row["environment"] for row in matrix.get("include", [])]
    entries += matrix.get("environment", [])
    if entries:
        return [name.replace("${{ matrix.environment }}", entry) for entry in entries]
    return [name] if name else []


def test_the_guide_names_the_workflows_that_may_start_a_runner_in_a_vpc() -> None:
    starts = {
        str(workflow.value["name"])
        for workflow in WORKFLOWS
        if any("codebuild-" in str(job["runs-on"]) for job in workflow.jobs.values())
    }
    assert f"`WORKFLOW_NAME` = `^({'|'.join(sorted(starts))})$`" in _GUIDE
    assert "`ACTOR_ACCOUNT_ID`" in _GUIDE


def test_a_job_without_an_environment_reads_no_secret_and_no_variable_of_one() -> None:
    of_repository = "vars.CANARY"  # docs/workflows.md
    for workflow in WORKFLOWS:
        for name, job in workflow.jobs.items():
            content = str(job).replace(of_repository, "")
            used = "secrets." in content or "vars." in content
            assert "environment" in job or not used, (workflow.path.name, name)


def test_every_owned_path_is_there() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text().splitlines()
    for line in lines:
        if line.startswith("/"):
            assert list(ROOT.glob(line.split()[0].strip("/"))), line


@pytest.mark.parametrize("path", _FORMS, ids=lambda path: path.stem)
def test_a_form_can_be_filled_in(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= set(form)
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    assert len({each["id"] for each in fields}) == len(fields)
    assert all(each["attributes"]["label"] for each in fields)
    assert any(each.get("validations", {}).get("required") for each in fields)


def test_before_a_commit_runs_what_make_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    recipes = "".join(MAKEFILE.recipes[each] for each in ("lint", "types", "check", "actions"))
    recipes = recipes.replace("$(HARNESS)", ".venv/bin/harness").replace("$(VENV)", ".venv")
    for hook in config["repos"][0]["hooks"]:
        program = " ".join(hook["entry"].split()[:2])
        assert program in recipes or program == "make actions"
