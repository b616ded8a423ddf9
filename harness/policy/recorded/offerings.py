"""Where EC2 offers instance types with GPUs: in which regions, and in how many of their zones.

instance_offerings.json is what EC2 told the account of moto's maintainers; `make instance-types`
writes it again (record_instances.py). A type or a region that it lacks is unknown. The letter of a
zone is an account's own: in another account us-west-2a may be the zone that this one calls 2c.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html
"""

import json
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("instance_offerings.json")


@cache
def _table() -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = json.loads(TABLE.read_bytes())
    return rows


def zones(instance: str, region: str) -> list[str] | None:
    """The zones of a region in which a type is offered; None where that is not known."""
    letters = _table().get(instance)
    if letters is None or not any(region in each for each in _table().values()):
        return None
    return [f"{region}{letter}" for letter in letters.get(region, "")]
