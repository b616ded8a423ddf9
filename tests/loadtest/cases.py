"""Profiles for tests."""

import json

from harness.loadtest.profile import Profile


def profile(**keys: object) -> Profile:
    """A profile with everything but ``keys`` filled in."""
    base: dict[str, object] = {
        "mix": [{"request": {"name": "ok", "path": "/ok", "contains": "true"}}],
        "stages": [{"kind": "hold", "seconds": 2, "rate": 50}],
        "timeout": 5,
    }
    return Profile.model_validate_json(json.dumps(base | keys))
