"""The policy of docs/efs.md is made from the calls, and the calls are those of the code."""

import ast
import json
import re
from pathlib import Path

from harness.aws import ANY, Aws
from harness.core.repository import Repository
from harness.efs import permissions, settings
from tests.efs.conftest import REGION

SERVICES = ("cloudwatch", "ec2", "efs", "eks")


def operations(path: Path, known: set[str]) -> set[str]:
    """The operations of AWS that a module names."""
    words = ast.walk(ast.parse(path.read_text()))
    return {each.value for each in words if isinstance(each, ast.Constant) and each.value in known}


def test_the_list_of_calls_is_that_of_the_code(checkout: Repository, aws: Aws) -> None:
    known = {name for each in SERVICES for name in aws.client(each).meta.method_to_api_mapping}
    folder = checkout.root / "harness" / "efs"
    listed = operations(folder / "permissions.py", known)
    others = (path for path in folder.glob("*.py") if path.name != "permissions.py")
    assert listed == {name for path in others for name in operations(path, known)}


def test_the_page_has_the_policy(checkout: Repository) -> None:
    page = (checkout.root / "docs" / "efs.md").read_text()
    [block] = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    desired = settings.load(checkout, "staging")
    assert json.loads(block) == permissions.document(Aws(REGION, ANY), desired)
