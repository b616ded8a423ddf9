"""Which images the cluster's admission policies let in: prefixes of their names."""

import re
from collections.abc import Iterator

from harness.core.values import items, text
from harness.render.objects import Object
from harness.render.rendered import Environment

# What the policies list: registries one by one, and prefixes of site.yaml in one text.
_LISTED = re.compile(r"'([^'\s]+/)'")
_PREFIXES = re.compile(r"'([^']*)'\.split\(' '\)")


def listed_prefixes(environment: Environment) -> tuple[str, ...]:
    """Where images of third-party charts may come from; empty where no policy says it."""
    policy = environment.find("ValidatingAdmissionPolicy", "image-registry")
    written = expressions_text(policy)
    return (*_LISTED.findall(written), *site_prefixes(written))


def is_admitted(image: str, listed: tuple[str, ...]) -> bool:
    """Whether an image, or what begins every image of a registry, is of the list."""
    return image.startswith(listed) or (
        image.endswith("/") and any(each.startswith(image) for each in listed)
    )


def expressions_text(policy: Object | None) -> str:
    """The expressions of an admission policy, as one text."""
    return "\n".join(each for *_, each in expressions(policy)) if policy else ""


def expressions(policy: Object) -> Iterator[tuple[str, int, str]]:
    """Each expression of an admission policy, and where it is: the list and the index."""
    for part in ("variables", "validations"):
        for index, each in enumerate(items(policy.value, "spec", part)):
            yield part, index, text(each, "expression")


def site_prefixes(written: str) -> list[str]:
    """The prefixes that a policy reads from site.yaml."""
    return [prefix for listed in _PREFIXES.findall(written) for prefix in listed.split()]
