"""What site.yaml has put into an environment, taken out again: what is left, environments share."""

import re
from collections.abc import Callable

from harness.core.values import mapping
from harness.render.rendered import Environment


def without(environment: Environment) -> Callable[[str], str]:
    """A function that writes ``${NAME}`` for every value of an environment's site.yaml.

    The longest first: a registry may end in the environment's name. A value counts where it stands
    as a word of its own: one that is short is a part of many.
    """
    site = environment.find("ConfigMap", "site", "flux-system")
    data = mapping(site and site.value, "data").items()
    names = {str(value): name for name, value in data if str(value)}
    longest_first = sorted(names, key=len, reverse=True)
    words = "|".join(map(re.escape, longest_first)) or "(?!)"
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])")
    return lambda text: pattern.sub(lambda match: f"${{{names[match[0]]}}}", text)
