"""What site.yaml has put into an environment, taken out again: what is left, environments share."""

from collections.abc import Callable

from harness.core.values import mapping
from harness.render.rendered import Environment


def without(environment: Environment) -> Callable[[str], str]:
    """A function that writes ``${NAME}`` forevery value of an environment's site.yaml.

    The longest first: a registry may end in the environment's name.
    """
    site = environment.find("ConfigMap", "site", "flux-system")
    values = {str(value): name for name, value in mapping(site and site.value, "data").items()}

    def with_variables(text: str) -> str:
        for value in sorted(values, key=len, reverse=True):
            text = text.replace(value, f"${{{values[value]}}}")
        return text

    return with_variables
