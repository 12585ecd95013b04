"""Delivering: Content Credentials (C2PA): a signed statement in a file of how it was made, by whom and by what.

Whoever opens the file can check that neither picture nor statement was changed since, and who says so. Readers
trust a signer whose certificate comes from an authority on their list; with any other, the statement is whole and
its signer unknown. The statement covers all bytes of the file, so it goes in last.

It needs the extra `signing`: c2pa-python, and cryptography for certificates and keys.
"""

from __future__ import annotations

import hashlib
import io
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadInput, Infrastructure
from orchestrator.delivering.rendering.certificates import (
    algorithm_of,
    check_chain,
    check_pair,
    public_key_of,
    read_chain,
    read_key,
)
from orchestrator.delivering.rendering.marking import MADE_BY_A_MODEL, program

if TYPE_CHECKING:
    from core.settings import Settings

MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
USES = ("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1", "1.3.6.1.4.1.311.76.59.1.9")
"""Extended uses that make a certificate one for signing: e-mail, documents, C2PA claims, Microsoft's for C2PA."""

DEMANDS = (
    "C2PA takes a certificate of version 3 that is no CA's, with key usage digitalSignature, an extended key "
    "usage of emailProtection, documentSigning or c2pa-kp-claimSigning, and the identifier of its issuer's key; "
    "have one issued like that"
)

SETTINGS = {
    # What a signature is checked against right after it was made: without a list, e-mail alone would pass.
    "trust": {"trust_config": "\n".join(USES)},
    "verify": {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    # A thumbnail would add up to the weight of the picture itself.
    "builder": {"thumbnail": {"enabled": False}},
}
"""Of c2pa: they hold for one signature, and ask nothing of the network."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who signs: a certificate with those that lead to its authority, and its key; `read_credential` makes it.

    Without a time stamp, readers stop trusting a file on the day on which the certificate expires.
    """

    certificates: bytes
    """PEM, the signer's own first, and nothing else: all of it goes into each file."""

    key: bytes = field(repr=False)
    """PEM, private, PKCS #8 without a password."""

    timestamp: str = ""
    """URL of a time-stamping authority (RFC 3161), which is asked once for each file; empty: none."""

    @property
    def id(self) -> str:
        """Tells certificate and time stamp from others, 16 hexadecimal digits: another makes another file."""
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509 import load_pem_x509_certificate

        own = load_pem_x509_certificate(self.certificates).public_bytes(Encoding.DER)
        return hashlib.sha256(own + self.timestamp.encode()).hexdigest()[:16]


def sign(data: bytes, ending: str, title: str, model: str, credential: Credential) -> bytes:
    """The same picture with the statement that `model` made it; each call gives other bytes.

    Args:
        data: of a JPEG, PNG or WebP; its pixels and metadata stay as they are.
        ending: of its name: one of `MEDIA_TYPES`.
        title: what the statement calls it; names it in errors.
        model: which made it.
        credential: who says so.

    Raises:
        BadInput: c2pa-python is missing, the certificate expired meanwhile, or the file is none of its ending.
        Infrastructure: the time-stamping authority gave no time stamp.
    """
    c2pa = _library(title)
    try:
        return _embed(data, MEDIA_TYPES[ending], _statement(title, model), credential)
    except c2pa.C2paError as error:
        if credential.timestamp:
            # Raises too, unless the time stamp is all that fails.
            sign(data, ending, title, model, replace(credential, timestamp=""))
            raise Infrastructure(
                f"time-stamping authority {credential.timestamp} gave no time stamp ({_in_short(error)}). "
                "Check the URL and the way there, try again later, or sign without one"
            ) from error
        raise BadInput.at(
            title,
            f"Content Credentials can't be made ({_in_short(error)})",
            "Check that the certificate is still valid, and that the file is what its ending says",
        ) from error


def read_credential(certificates: Path, key: Path, timestamp: str = "") -> Credential:
    """Who signs, from the files of a certificate chain and of its key, proven by signing a tiny picture.

    Args:
        certificates: PEM, the signer's own first.
        key: PEM, private.
        timestamp: URL of a time-stamping authority, asked once here; empty: none.

    Raises:
        BadInput: c2pa-python is missing, a file can't be read or is no PEM, the key has a password or belongs to
            another certificate, or C2PA does not take the certificate or its key.
        Infrastructure: the time-stamping authority gave no time stamp.
    """
    _library(str(certificates))
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    chain, private = read_chain(certificates), read_key(key)
    check_pair(chain, private, certificates, key)
    check_chain(chain, certificates)
    if timestamp and not timestamp.startswith(("http://", "https://")):
        raise BadInput.at(
            f"time-stamping authority {timestamp}",
            "is no URL",
            "Begin it with http:// or https://, or give none",
        )
    credential = Credential(
        # Written anew: what else stood in the file, the key even, would go into each picture.
        b"".join(one.public_bytes(Encoding.PEM) for one in chain),
        # c2pa reads this form only.
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        timestamp,
    )
    _prove(credential, certificates)
    return credential


def credential_of(settings: Settings) -> Credential | None:
    """Who signs by the settings; None where they name no certificates.

    Raises:
        BadInput, Infrastructure: as `read_credential` does.
    """
    certificates, key = settings.c2pa_certificates, settings.c2pa_key
    if certificates is None and key is None:
        return None
    if certificates is None or key is None:
        here, other = ("KEY", "CERTIFICATES") if certificates is None else ("CERTIFICATES", "KEY")
        what = f"is set, and DREAMLINE_C2PA_{other} is not"
        raise BadInput.at(f"environment variable DREAMLINE_C2PA_{here}", what, "Set both, or neither")
    return read_credential(certificates, key, settings.c2pa_timestamp)


def _statement(title: str, model: str) -> dict[str, Any]:
    name, _, number = program().partition(" ")
    created = {
        "action": "c2pa.created",
        "digitalSourceType": MADE_BY_A_MODEL,
        "softwareAgent": {"name": model},
    }
    return {
        "title": title,
        "claim_generator_info": [{"name": name, "version": number}],
        "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": {"actions": [created]}}],
    }


def _embed(data: bytes, media_type: str, statement: dict[str, Any], credential: Credential) -> bytes:
    """The picture with the statement.

    Raises:
        c2pa.C2paError: it can't be made, or isn't valid once made.
    """
    import c2pa
    from cryptography.x509 import load_pem_x509_certificate

    algorithm = algorithm_of(public_key_of(load_pem_x509_certificate(credential.certificates)))
    who = c2pa.C2paSignerInfo(algorithm, credential.certificates, credential.key, credential.timestamp or None)
    signed = io.BytesIO()
    with (
        c2pa.Context.from_dict(SETTINGS) as context,
        c2pa.Signer.from_info(who) as signer,
        c2pa.Builder(statement, context) as builder,
    ):
        builder.sign(signer, media_type, io.BytesIO(data), signed)
    return signed.getvalue()


def _library(where: str) -> Any:
    """The module c2pa.

    Raises:
        BadInput: it is missing, or would be loaded from the current folder.
    """
    if "c2pa" not in sys.modules:
        _refuse_strangers()
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        raise BadInput.at(
            where,
            f"signing needs c2pa-python, which can't be loaded ({_in_short(error)})",
            "Install it: pip install 'dreamline[signing]'",
        ) from error
    return c2pa


def _refuse_strangers() -> None:
    """Finds what c2pa-python would run in place of its own library: it looks into the current folder first.

    A folder of pictures and tables that someone sent must not bring along code that runs.
    """
    here = Path.cwd()
    for folder in (here, here / "artifacts", here / "libs"):
        for found in (*folder.glob("libc2pa_c.*"), *folder.glob("*/libc2pa_c.*")):
            raise BadInput.at(
                str(found), "c2pa-python would run this file", "Move it away, or work from another folder"
            )


def _prove(credential: Credential, certificates: Path) -> None:
    """Signs a tiny picture.

    Raises:
        BadInput: C2PA does not take the certificate.
        Infrastructure: the time-stamping authority gave no time stamp.
    """
    from PIL import Image

    tiny = io.BytesIO()
    Image.new("RGB", (8, 8)).save(tiny, "PNG")
    try:
        sign(tiny.getvalue(), ".png", "proof", "none", credential)
    except BadInput as error:
        (problem,) = error.problems
        raise BadInput.at(str(certificates), problem.what, DEMANDS) from error


def _in_short(error: Exception) -> str:
    """What a library says, in one line."""
    return " ".join(str(error).split())[:240]
