"""Every setting of a site is an environment's own or shared, and names are whole words."""

import pytest

from harness.policy.facts.identity import OWN_KEYS, Names
from harness.settings import site

NAMES = Names(("dev", "local", "production", "production-eu", "staging"))
# Parts of what is compared as a whole: hosts, and a cluster by its name, region and account.
COMPARED_WHOLE = {"AWS_ZONE_1", "AWS_ZONE_2", "AWS_ZONE_3", "CLUSTER_NAME", "DOMAIN"}

# Settings that environments may have in common, each with the reason.
SHARED_BY_DESIGN = {
    "ACME_EMAIL": "one team reads the mail of every environment",
    "ADMIN_CIDR": "one office administers them",
    "ADMIN_ROLE_ARN": "the same people do",
    "AWS_ACCOUNT_ID": "an account may hold several environments",
    "AWS_REGION": "and so may a region",
    "GIT_URL": "it is one repository",
    "JWT_ISSUER": "one organization signs; the audience tells environments apart",
    "JWT_JWKS_URI": "the issuer's own",
    "REGISTRY": "an image is found by its digest",
}


def test_every_setting_is_an_environments_own_or_is_shared_for_a_reason() -> None:
    paths = {path for paths in OWN_KEYS.values() for path in paths}
    settings = {
        name
        for name, setting in site.SETTINGS.items()
        if any(place.path in paths for place in setting.places)
    }
    assert settings.isdisjoint(SHARED_BY_DESIGN)
    assert settings | set(SHARED_BY_DESIGN) | COMPARED_WHOLE == set(site.SETTINGS)


@pytest.mark.parametrize(
    ("env", "content", "named"),
    [
        ("production", "torchserve-staging", "staging"),
        ("production", "s3://acme-STAGING-models/a", "staging"),
        ("production", "https://login.example.com/realms/staging", "staging"),
        ("staging", "./apps/torchserve/production-eu", "production-eu"),
        ("production-eu", "arn:aws:iam::1:role/torchserve-production-sync", "production"),
        ("production-eu", "torchserve-production-eu", ""),
        ("production", "torchserve-production", ""),
        ("production", "stagings", ""),
        ("production", "/dev/shm", ""),
        ("production", "torchserve.svc.cluster.local", ""),
        ("production", "https://dev-123.okta.example", ""),
        ("production", "clusters/dev", "dev"),
        ("production", "torchserve-local", "local"),
    ],
)
def test_a_value_names_another_environment_by_a_whole_word(
    env: str, content: str, named: str
) -> None:
    assert NAMES.foreign(env, content) == named
