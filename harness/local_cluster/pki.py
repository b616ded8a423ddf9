"""The keys of a local control plane: an authority, the API server's certificate, one token.

They guard a loopback port for as long as the cluster runs, and lie under build/ with mode 600.
"""

import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.local_cluster.real.network import SANDBOX

_DAYS = 30  # far longer than anybody keeps a local cluster
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADDRESSES = ("127.0.0.1", "10.96.0.1", SANDBOX)
FRONT_PROXY = "front-proxy"
"""What the API server calls itself where it passes requests on to servers of further APIs."""


def write(folder: Path, server: str, names: Sequence[str] = _NAMES) -> Path:
    """Write an authority (``ca.crt``), keys and certificates of ``server`` and ``front-proxy``,
    ``accounts.key`` and ``tokens.csv``.

    Args:
        folder: where they go.
        server: the API server's address, for the kubeconfig.
        names: of the server, in addition to its addresses.

    Returns:
        ``kubeconfig.yaml`` of the administrator, next to ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, signer = _key(), _name("local-authority")
    root = (
        _certificate(signer, signer, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in _ADDRESSES]
    for file, subject in (("server", "kube-apiserver"), (FRONT_PROXY, FRONT_PROXY)):
        key = _key()
        certificate = (
            _certificate(_name(subject), signer, key.public_key())
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(authority, hashes.SHA256())
        )
        _private(folder / f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _private(folder / f"{file}.key", _pem(key))
    token = secrets.token_urlsafe(32)
    pem = root.public_bytes(serialization.Encoding.PEM)
    _private(folder / "ca.crt", pem)
    _private(folder / "accounts.key", _pem(_key()))
    _private(folder / "tokens.csv", f'{token},admin,admin,"system:masters"\n'.encode())
    return place(folder.parent, yaml.safe_dump(_kubeconfig(server, folder / "ca.crt", token)))


def self_signed(names: Sequence[str]) -> tuple[bytes, bytes]:
    """A certificate for these host names and its key, both as PEM."""
    key, name = _key(), _name(names[0])
    certificate = (
        _certificate(name, name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def place(folder: Path, kubeconfig: str) -> Path:
    """Write ``kubeconfig.yaml``, for its owner's eyes, and return its path."""
    path = folder / "kubeconfig.yaml"
    _private(path, kubeconfig.encode())
    return path


def _kubeconfig(server: str, authority: Path, token: str) -> dict[str, object]:
    cluster = {"server": server, "certificate-authority": str(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
        "current-context": "local",
    }


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
