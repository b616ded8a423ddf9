"""The form of each value in site.yaml: what the clusters, AWS and clients take.

A value of another form would show at every place that it is substituted into. The render puts a
placeholder there instead, so that the one finding stands where the value does.
"""

import re
from collections.abc import Mapping

from harness.core.form import Form

_HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HTTPS = r"https://[!-~]+"
_WRAPPED = " \t\r\n\u00a0\"'“”„‟‘’‚‛`<>"
"""What a value is wrapped in by accident: spaces, and the quotes of a word processor."""


FORMS: Mapping[str, Form] = {
    "GIT_URL": Form(r"(https?|ssh)://[!-~]+", "an address with its scheme, as https://host/path"),
    "AWS_ACCOUNT_ID": Form(r"\d{12}", "twelve digits"),
    "AWS_REGION": Form(r"[a-z]{2}(-[a-z]+)+-\d", "a region, as eu-central-1"),
    # https://github.com/distribution/reference: lower case, and no scheme.
    "REGISTRY": Form(
        rf"{_HOST}(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*",
        "a host and perhaps a path in lower case, without a scheme or a slash at its end",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "MODEL_BUCKET": Form(
        r"(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "the bucket's name alone: 3 to 63 of a-z, 0-9, dots and hyphens",
    ),
    # https://docs.aws.amazon.com/efs/latest/ug/efs-access-points.html; old file systems have 8.
    "EFS_FILE_SYSTEM_ID": Form(r"fs-([0-9a-f]{8}|[0-9a-f]{17})", "fs- and 17 digits of 0-9, a-f"),
    **dict.fromkeys(
        ("EFS_LOADER_ACCESS_POINT_ID", "EFS_SERVER_ACCESS_POINT_ID"),
        Form(r"fsap-([0-9a-f]{8}|[0-9a-f]{17})", "fsap- and 17 digits of 0-9, a-f"),
    ),
    "DOMAIN": Form(
        rf"({_LABEL}\.)+(?!\d+$){_LABEL}",
        "a domain in lower case, without a scheme, a port or a path",
    ),
    # https://letsencrypt.org/docs: it refuses the domains of examples (RFC 2606).
    "ACME_EMAIL": Form(
        r"[^\s@,;]+@(?!example\.(com|net|org)$)([A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]+",
        "an address that somebody reads, not of example.com",
    ),
    # https://openid.net/specs/openid-connect-core-1_0.html (iss): compared letter by letter.
    "JWT_ISSUER": Form(_HTTPS, "the `iss` of the tokens, an address by https://"),
    "JWT_JWKS_URI": Form(_HTTPS, "an address by https://"),
    # What harness/policy/facts/origins.py reads.
    "PROVIDED": Form(
        r"[A-Z]\w+(/[\w.*:-]+){1,2}( [A-Z]\w+(/[\w.*:-]+){1,2})*",
        "KIND/NAME or KIND/NAMESPACE/NAME, with spaces between",
    ),
    "MODEL_STORE_PATH": Form(r"/[!-~]*", "an absolute path"),
}


def wrong_values(values: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with a site's values, by their names; nothing of what is UNSET.

    A name that is not in FORMS may have any value that is not wrapped by accident.
    """
    wrong = {}
    for name, written in values.items():
        form = FORMS.get(name)
        if not isinstance(written, str):
            if written is None and form:
                wrong[name] = f"has no value: it is {form.says}"
        elif "UNSET" not in written and form and not form.fits(written):
            wrong[name] = f"{written!r} is not {form.says}"
        elif written.strip(_WRAPPED) != written.rstrip("\n") and "\n" not in written.rstrip("\n"):
            wrong[name] = f"{written!r} has spaces or quotes around it"
    loader, server = (values.get(f"EFS_{who}_ACCESS_POINT_ID") for who in ("LOADER", "SERVER"))
    if loader == server is not None and "UNSET" not in str(server):
        wrong.setdefault("EFS_SERVER_ACCESS_POINT_ID", f"{server} is the loader's access point too")
    return wrong


def meant_value(name: str, written: object) -> str | None:
    """The value that was meant, where a slip of the pen hides it; None where nobody can know."""
    form = FORMS.get(name)
    if form is None or not isinstance(written, str):
        return None
    bare = written.strip(_WRAPPED)
    without_scheme = re.sub(r"^[a-z0-9]+://", "", bare).rstrip("/")
    candidates = [bare, bare.lower(), without_scheme, without_scheme.lower()]
    if bare.startswith("http://"):
        candidates = [bare.replace("http://", "https://", 1)]
    elif form.pattern == _HTTPS and "://" not in bare:
        candidates = [f"https://{bare}"]
    return next((each for each in candidates if each != written and form.fits(each)), None)
