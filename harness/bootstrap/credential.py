"""The credential with which Flux reads the repository: created here, stored only in the cluster.

With SSH it is a deploy key. Its private half is created in this process's memory and goes into the
cluster's Secret; only its public half is ever shown. It opens one repository, for reading, and
belongs to no person. With HTTPS it is a token that the user provides.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.bootstrap.installation import Installation
from harness.bootstrap.step import Inspection
from harness.core import command, console
from harness.core.errors import HarnessError
from harness.core.values import mapping, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api

NAME = "git-credential"
"""As release.yaml and FluxInstance's pullSecret call it."""

_USER = "git"  # GitHub, GitLab and Gitea read only the token
_PUBLIC = "identity.pub"


def inspect(installation: Installation) -> Inspection:
    """Check whether the Secret has the kind of credential that the repository's URL needs."""
    by_ssh, data = _by_ssh(installation), _secret_data(installation.cluster)
    if by_ssh and {"identity", "known_hosts"} <= data.keys():
        return Inspection((f"deploy key: {data.get(_PUBLIC, '')}",))
    if by_ssh:
        return Inspection(
            changes=("+ a deploy key, which is created now and never leaves the cluster",)
        )
    if "password" in data and installation.token in (None, data["password"]):
        return Inspection((f"token in Secret {kinds.FLUX_NAMESPACE}/{NAME}",))
    if installation.token is None:
        return Inspection(
            ("no token was given for the repository",),
            manual="export GIT_TOKEN=…, one that may read the contents of this repository and "
            "nothing else; or let GIT_URL begin with ssh://, which needs none",
        )
    return Inspection(
        changes=(f"~ Secret {kinds.FLUX_NAMESPACE}/{NAME}: the token that was given",)
    )


def provide(installation: Installation, _: console.Update) -> None:
    """Put a new deploy key, or the token that was given, into the cluster.

    Raises:
        HarnessError: this machine does not know the Git server's key.
        ApiError: the cluster refused.
    """
    if _by_ssh(installation):
        content = _deploy_key(_known_hosts(installation))
        console.note(f"→ let this key read the repository, and only read:\n  {content[_PUBLIC]}")
    else:
        content = {"username": _USER, "password": installation.token or ""}
    data = {key: base64.b64encode(each.encode()).decode() for key, each in content.items()}
    metadata = {"name": NAME, "namespace": kinds.FLUX_NAMESPACE}
    installation.cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
    )


def _by_ssh(installation: Installation) -> bool:
    return installation.value("GIT_URL").startswith("ssh://")


def _secret_data(cluster: Api) -> Mapping[str, str]:
    """What the Secret holds."""
    secret = cluster.get(kinds.SECRET, NAME, kinds.FLUX_NAMESPACE)
    data = mapping(secret, "data")
    return {key: base64.b64decode(text(data, key)).decode() for key in data}


def _deploy_key(known_hosts: str) -> Mapping[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return {"identity": private.decode(), _PUBLIC: public.decode(), "known_hosts": known_hosts}


def _known_hosts(installation: Installation) -> str:
    """The Git server's keys, as this machine's user has come to trust them."""
    address = urlsplit(installation.value("GIT_URL"))
    host = address.hostname or ""
    name = f"[{host}]:{address.port}" if address.port not in (None, 22) else host
    known = Path.home() / ".ssh" / "known_hosts"
    result = command.run(["ssh-keygen", "-F", name, "-f", known], timeout=20, accept=range(256))
    lines = [line for line in result.stdout.splitlines() if line and not line.startswith("#")]
    if not lines:
        port = f"-p {address.port} " if address.port else ""
        raise HarnessError(
            f"~/.ssh/known_hosts has no key of {name}, so Flux could be fed by anybody",
            hint=f"ssh-keyscan {port}{host} >> ~/.ssh/known_hosts, and compare its fingerprints "
            "(`ssh-keygen -lf`) with those that the server's owner publishes",
        )
    return "\n".join(lines) + "\n"
