import re

from harness.core import document
from harness.models.catalog import Model


def test_the_examples_in_the_documentation_are_valid_models(checkout):
    path = checkout.root / "docs" / "models.md"
    examples = re.findall(r"```yaml\n(name: .*?)```", path.read_text(), re.DOTALL)
    built, adopted, *_ = [
        document.validate(parsed, Model)
        for example in examples
        for parsed in document.parse(example, path)
    ]
    assert built.artifact.torchscript.file == "toy.pt"
    assert adopted.artifact.adopted.archive == "nlp/toy model.tar.gz"
