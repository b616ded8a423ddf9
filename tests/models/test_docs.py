import re

from harness.core import document
from harness.models.catalog import Model


def test_the_example_in_the_documentation_is_a_valid_model(checkout):
    path = checkout.root / "docs" / "models.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
    (parsed,) = document.parse(example, path)
    model = document.validate(parsed, Model)
    assert model.artifact.torchscript.file == "toy.pt"
