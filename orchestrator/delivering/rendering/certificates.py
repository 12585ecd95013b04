"""Delivering: the certificates and the key that files are signed with, checked before anything is signed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes
    from cryptography.x509 import Certificate

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""C2PA's algorithm for the keys of each elliptic curve."""

LEAST_RSA = 2048
"""Bits of an RSA key that C2PA takes."""

IN_ORDER = "Put the signer's own certificate first, then the one that issued it, and so on"


def read_chain(path: Path) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise BadInput.at(
            str(path),
            "holds no certificates in PEM that can be read",
            "They stand between BEGIN CERTIFICATE and END CERTIFICATE; convert others with openssl x509 or pkcs12",
        ) from error


def read_key(path: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    try:
        return load_pem_private_key(data, password=None)
    except TypeError as error:
        raise BadInput.at(
            str(path),
            "has a password",
            f"Give the key without one: openssl pkey -in {path} -out PLAIN, in a place that you alone can read",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput.at(
            str(path),
            "holds no private key in PEM that can be read",
            "It stands between BEGIN PRIVATE KEY and END PRIVATE KEY; convert another with openssl pkey or pkcs12",
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput.at(
            str(path), f"can't be read ({error.strerror})", "Check its name and who may read it"
        ) from error


def check_pair(chain: list[Certificate], private: PrivateKeyTypes, certificates: Path, key: Path) -> None:
    own = _encoded(private.public_key())
    places = [place for place, one in enumerate(chain) if _encoded(public_key_of(one)) == own]
    if not places:
        raise BadInput.at(
            str(key), f"is not the key of the certificate in {certificates}", "Give the two that belong together"
        )
    if places[0] > 0:
        raise BadInput.at(str(certificates), f"has the signer's certificate in place {places[0] + 1}", IN_ORDER)
    if not algorithm_of(public_key_of(chain[0])):
        raise BadInput.at(
            str(key),
            "is of a kind that C2PA does not sign with",
            "Have a certificate issued for a key of P-256, P-384, P-521 or Ed25519, "
            f"or of RSA with {LEAST_RSA} bits or more",
        )


def check_chain(chain: list[Certificate], certificates: Path) -> None:
    own, now = chain[0], datetime.now(UTC)
    if own.not_valid_after_utc < now:
        raise BadInput.at(str(certificates), f"expired on {own.not_valid_after_utc:%Y-%m-%d}", "Have it renewed")
    if own.not_valid_before_utc > now:
        raise BadInput.at(
            str(certificates),
            f"is not valid before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "Wait, or check the clock of this machine",
        )
    for place, (issued, issuer) in enumerate(pairwise(chain), start=1):
        if issued.issuer != issuer.subject:
            raise BadInput.at(
                str(certificates), f"certificate {place + 1} did not issue certificate {place} in it", IN_ORDER
            )


def public_key_of(certificate: Certificate) -> CertificatePublicKeyTypes | None:
    """None: cryptography does not know its kind."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _encoded(key: Any) -> bytes | None:
    """A public key's bytes, by which keys are compared."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return None if key is None else bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def algorithm_of(key: CertificatePublicKeyTypes | None) -> str:
    """C2PA's name of how a key of this kind signs; empty: it does not."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, EllipticCurvePublicKey):
        return CURVES.get(key.curve.name, "")
    if isinstance(key, RSAPublicKey):
        return "ps256" if key.key_size >= LEAST_RSA else ""
    return "ed25519" if isinstance(key, Ed25519PublicKey) else ""
