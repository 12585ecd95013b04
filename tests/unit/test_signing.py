"""Content Credentials: what a signed file says, what it stands, and which certificates are refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.errors import BadInput, Infrastructure
from orchestrator.delivering.rendering.marking import MADE_BY_A_MODEL, xmp_packet
from orchestrator.delivering.rendering.signing import MEDIA_TYPES, USES, Credential, read_credential, sign

c2pa = pytest.importorskip("c2pa")
x509 = pytest.importorskip("cryptography.x509")
hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
ec, ed448, ed25519, rsa = (
    pytest.importorskip(f"cryptography.hazmat.primitives.asymmetric.{name}")
    for name in ("ec", "ed448", "ed25519", "rsa")
)

Encoding, PrivateFormat = serialization.Encoding, serialization.PrivateFormat
NameOID, ExtendedKeyUsageOID = x509.NameOID, x509.ExtendedKeyUsageOID
KEYS = {
    "Es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ps256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
ENDINGS = (".jpg", ".png", ".webp")
MODEL = "DreamO v1.1 & 'FLUX.1-dev'"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def called(name: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "DE", NameOID.ORGANIZATION_NAME: "Atelier", NameOID.COMMON_NAME: name}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)


class Authority:
    """Issues certificates, and writes them with their keys as files."""

    def __init__(self, name: str = "Authority") -> None:
        self.name, self.key = called(name), ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        self.certificate = (
            self._begin(self.name, public, -9 * DAY, 99 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _begin(self, subject: x509.Name, public: Any, start: timedelta, end: timedelta) -> x509.CertificateBuilder:
        times = x509.CertificateBuilder().not_valid_before(NOW + start).not_valid_after(NOW + end)
        named = times.subject_name(subject).issuer_name(self.name)
        return named.public_key(public).serial_number(x509.random_serial_number())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        key: Any,
        *,
        use: str = ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string,
        start: timedelta = -DAY,
        end: timedelta = 30 * DAY,
        ca: bool = False,
    ) -> bytes:
        """A certificate for the public half of `key`, PEM."""
        wanted = self._begin(called("Signer"), key.public_key(), start, end)
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
            (x509.BasicConstraints(ca=ca, path_length=None), True),
            (x509.ExtendedKeyUsage([x509.ObjectIdentifier(use)]), True),
            (usage(signs=True), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        )
        for extension, critical in extensions:
            wanted = wanted.add_extension(extension, critical)
        return wanted.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def write(self, folder: Path, key: Any, **wanted: Any) -> tuple[Path, Path]:
        """A chain and its key as files."""
        return written(folder, self.issue(key, **wanted) + self.pem, as_pem(key))


def as_pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> bytes:
    kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(Encoding.PEM, form, kept))


def written(folder: Path, chain: bytes, key: bytes) -> tuple[Path, Path]:
    paths = folder / "chain.pem", folder / "key.pem"
    for path, data in zip(paths, (chain, key), strict=True):
        path.write_bytes(data)
    return paths


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def key() -> Any:
    return KEYS["Es256"]()


@pytest.fixture(scope="module")
def credential(authority: Authority, key: Any, tmp_path_factory: pytest.TempPathFactory) -> Credential:
    return read_credential(*authority.write(tmp_path_factory.mktemp("signer"), key))


def picture(ending: str) -> bytes:
    """A marked picture that doesn't compress away."""
    made, file = Image.effect_noise((96, 64), 80).convert("RGB"), io.BytesIO()
    if ending == ".png":
        told = PngInfo()
        told.add_itxt("XML:com.adobe.xmp", xmp_packet(MODEL).decode())
        made.save(file, "PNG", pnginfo=told)
    else:
        made.save(file, MEDIA_TYPES[ending].partition("/")[2], xmp=xmp_packet(MODEL))
    return file.getvalue()


def told_by(data: bytes, ending: str, trusted: bytes = b"") -> dict[str, Any]:
    """What a reader shows of a file, with its verdict; it trusts signers of the authority `trusted`."""
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False}}
    if trusted:
        settings["trust"] = {"user_anchors": trusted.decode(), "trust_config": "\n".join(USES)}
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(MEDIA_TYPES[ending], io.BytesIO(data), context=context) as reader,
    ):
        return dict(json.loads(reader.json()))


def statement(told: dict[str, Any]) -> dict[str, Any]:
    return dict(told["manifests"][told["active_manifest"]])


def faults(told: dict[str, Any]) -> list[str]:
    return [fault["code"] for fault in told.get("validation_status", [])]


def refusal(paths: tuple[Path, Path], timestamp: str = "") -> str:
    with pytest.raises(BadInput) as caught:
        read_credential(*paths, timestamp)
    return str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signed_file_says_that_a_model_made_it(ending: str, credential: Credential) -> None:
    told = told_by(sign(picture(ending), ending, 'Jug "Ä" 🫖', MODEL, credential), ending)
    said = statement(told)
    assert said["title"] == 'Jug "Ä" 🫖'
    maker = said["claim_generator_info"][0]
    assert (maker["name"], maker["version"]) == ("dreamline", version("dreamline"))
    (assertion,) = said["assertions"]
    assert assertion["data"]["actions"] == [
        {
            "action": "c2pa.created",
            "digitalSourceType": MADE_BY_A_MODEL,
            "softwareAgent": {"name": MODEL},
        }
    ]
    assert assertion["created"] is True
    assert said["signature_info"]["issuer"] == "Atelier"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("algorithm", KEYS)
def test_every_kind_of_key_signs_every_kind_of_file(
    algorithm: str, ending: str, authority: Authority, tmp_path: Path
) -> None:
    credential = read_credential(*authority.write(tmp_path, KEYS[algorithm]()))
    told = told_by(sign(picture(ending), ending, "jug", MODEL, credential), ending)
    assert statement(told)["signature_info"]["alg"] == algorithm
    assert faults(told) == ["signingCredential.untrusted"]
    assert told["validation_state"] == "Valid"


@pytest.mark.parametrize("use", USES)
def test_readers_that_know_the_authority_trust_the_file(
    use: str, authority: Authority, key: Any, tmp_path: Path
) -> None:
    credential = read_credential(*authority.write(tmp_path, key, use=use))
    told = told_by(sign(picture(".jpg"), ".jpg", "jug", MODEL, credential), ".jpg", trusted=authority.pem)
    assert faults(told) == []
    assert told["validation_state"] == "Trusted"


@pytest.mark.parametrize("ending", [*ENDINGS, ".jpeg"])
def test_pixels_and_marking_stay_as_they_are(ending: str, credential: Credential) -> None:
    plain = picture(ending)
    signed = sign(plain, ending, "jug", MODEL, credential)
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(signed)) as after:
        assert after.format == before.format
        assert after.tobytes() == before.tobytes()
        named = "XML:com.adobe.xmp" if ending == ".png" else "xmp"
        assert after.info[named] == before.info[named]
        assert MADE_BY_A_MODEL in str(after.info[named])


def test_a_file_grows_by_no_thumbnail(credential: Credential) -> None:
    plain = picture(".png")
    grown = len(sign(plain, ".png", "jug", MODEL, credential)) - len(plain)
    assert grown < 4096 + len(credential.certificates)


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_changed_byte_breaks_the_credential(ending: str, credential: Credential) -> None:
    plain = picture(ending)
    signed = bytearray(sign(plain, ending, "jug", MODEL, credential))
    middle = len(plain) // 2
    signed[signed.index(plain[middle : middle + 20])] ^= 1
    told = told_by(bytes(signed), ending)
    assert "assertion.dataHash.mismatch" in faults(told)
    assert told["validation_state"] == "Invalid"


def test_a_file_that_is_none_of_its_ending_is_refused(credential: Credential) -> None:
    with pytest.raises(BadInput, match=r"^jug\.jpg: .*Check") as caught:
        sign(picture(".png"), ".jpg", "jug.jpg", MODEL, credential)
    assert "JPEG" in str(caught.value)


def test_the_id_tells_certificates_and_time_stamps_apart(
    credential: Credential, authority: Authority, key: Any, tmp_path: Path
) -> None:
    own_only = x509.load_pem_x509_certificate(credential.certificates).public_bytes(Encoding.PEM)
    assert credential.id == replace(credential, certificates=own_only).id
    assert len(credential.id) == 16
    assert set(credential.id) <= set("0123456789abcdef")
    renewed = read_credential(*authority.write(tmp_path, key))
    stamped = replace(credential, timestamp="https://stamps.test")
    assert len({credential.id, renewed.id, stamped.id}) == 3


def test_the_key_shows_nowhere(authority: Authority, key: Any, tmp_path: Path) -> None:
    chain = authority.issue(key) + as_pem(key) + authority.pem
    credential = read_credential(*written(tmp_path, chain, chain))
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, serialization.NoEncryption())
    assert secret not in sign(picture(".jpg"), ".jpg", "jug", MODEL, credential)
    assert "PRIVATE" not in repr(credential)


def test_keys_in_older_forms_are_taken(authority: Authority, tmp_path: Path) -> None:
    for kind in ("Es256", "Ps256"):
        key = KEYS[kind]()
        chain = b"Bag Attributes\r\n" + authority.issue(key).replace(b"\n", b"\r\n") + authority.pem
        assert read_credential(*written(tmp_path, chain, as_pem(key, PrivateFormat.TraditionalOpenSSL)))


def test_files_that_are_missing_are_named(authority: Authority, key: Any, tmp_path: Path) -> None:
    chain, secret = authority.write(tmp_path, key)
    for paths in ((tmp_path / "gone.pem", secret), (chain, tmp_path / "gone.pem")):
        assert refusal(paths).startswith(f"{tmp_path / 'gone.pem'}: can't be read (No such file")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_pem_is_refused(content: bytes, authority: Authority, key: Any, tmp_path: Path) -> None:
    told = refusal(written(tmp_path, content, as_pem(key)))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: holds no certificates in PEM")
    told = refusal(written(tmp_path, authority.issue(key), content))
    assert told.startswith(f"{tmp_path / 'key.pem'}: holds no private key in PEM")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_password_is_refused(
    form: PrivateFormat, authority: Authority, key: Any, tmp_path: Path
) -> None:
    told = refusal(written(tmp_path, authority.issue(key), as_pem(key, form, b"open sesame")))
    assert told.startswith(f"{tmp_path / 'key.pem'}: has a password. Give the key without one")


def test_a_key_of_another_certificate_is_refused(authority: Authority, key: Any, tmp_path: Path) -> None:
    told = refusal(written(tmp_path, authority.issue(key), as_pem(KEYS["Es256"]())))
    assert told.startswith(
        f"{tmp_path / 'key.pem'}: is not the key of the certificate in {tmp_path / 'chain.pem'}"
    )


def test_a_chain_out_of_order_is_refused(authority: Authority, key: Any, tmp_path: Path) -> None:
    told = refusal(written(tmp_path, authority.pem + authority.issue(key), as_pem(key)))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: has the signer's certificate in place 2. Put the signer's")
    told = refusal(written(tmp_path, authority.issue(key) + Authority("Another").pem, as_pem(key)))
    assert "certificate 2 did not issue certificate 1 in it" in told


def test_a_certificate_is_refused_before_and_after_its_time(
    authority: Authority, key: Any, tmp_path: Path
) -> None:
    told = refusal(authority.write(tmp_path, key, start=-9 * DAY, end=-2 * DAY))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: expired on {NOW - 2 * DAY:%Y-%m-%d}. Have")
    told = refusal(authority.write(tmp_path, key, start=2 * DAY))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: is not valid before {NOW + 2 * DAY:%Y-%m-%d %H:%M} UTC. ")


@pytest.mark.parametrize(
    "kind",
    [
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
        ed448.Ed448PrivateKey.generate,
    ],
    ids=["secp256k1", "rsa-1024", "ed448"],
)
def test_keys_that_c2pa_does_not_know_are_refused(kind: Any, authority: Authority, tmp_path: Path) -> None:
    told = refusal(authority.write(tmp_path, kind()))
    assert told.startswith(
        f"{tmp_path / 'key.pem'}: is of a kind that C2PA does not sign with. Have a certificate"
    )


@pytest.mark.parametrize(
    "wanted", [{"use": ExtendedKeyUsageOID.CODE_SIGNING.dotted_string}, {"ca": True}], ids=["use", "ca"]
)
def test_certificates_that_c2pa_does_not_take_are_found_at_once(
    wanted: dict[str, Any], authority: Authority, key: Any, tmp_path: Path
) -> None:
    told = refusal(authority.write(tmp_path, key, **wanted))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: Content Credentials can't be made (")
    assert "extended key usage of emailProtection" in told


def test_a_certificate_that_expired_meanwhile_is_told(authority: Authority, key: Any) -> None:
    late = Credential(authority.issue(key, start=-9 * DAY, end=-DAY) + authority.pem, as_pem(key))
    with pytest.raises(BadInput, match=r"^jug\.jpg: .*not valid at time of signing.*Check that the certificate"):
        sign(picture(".jpg"), ".jpg", "jug.jpg", MODEL, late)


def test_where_the_library_is_missing_it_is_named(
    authority: Authority, key: Any, credential: Credential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    told = refusal(authority.write(tmp_path, key))
    assert told.startswith(f"{tmp_path / 'chain.pem'}: signing needs c2pa-python")
    assert told.endswith("pip install 'dreamline[signing]'")
    with pytest.raises(BadInput, match=r"^jug\.jpg: .*dreamline\[signing\]"):
        sign(picture(".jpg"), ".jpg", "jug.jpg", MODEL, credential)


@pytest.mark.parametrize(
    "place", ["libc2pa_c.so", "libs/libc2pa_c.dylib", "artifacts/unknown-linux-gnu/libc2pa_c.so"]
)
def test_a_library_in_the_current_folder_is_not_run(
    place: str, authority: Authority, key: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / place
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "c2pa")
    assert refusal(authority.write(tmp_path, key)).startswith(f"{planted}: c2pa-python would run this file. Move")


def test_a_time_stamping_authority_is_a_url(authority: Authority, key: Any, tmp_path: Path) -> None:
    told = refusal(authority.write(tmp_path, key), timestamp="stamps.test")
    assert told.startswith("time-stamping authority stamps.test: is no URL. Begin it with http")


def test_a_time_stamping_authority_that_does_not_answer_can_be_tried_again(
    authority: Authority, key: Any, credential: Credential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    with pytest.raises(Infrastructure, match=rf"authority {url} gave no time stamp \(.*try again later"):
        read_credential(*authority.write(tmp_path, key), url)
    stamped = replace(credential, timestamp=url)
    with pytest.raises(Infrastructure):
        sign(picture(".jpg"), ".jpg", "jug.jpg", MODEL, stamped)
    with pytest.raises(BadInput, match="JPEG"):
        sign(picture(".png"), ".jpg", "jug.jpg", MODEL, stamped)


@pytest.fixture
def stamps(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a time-stamping authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl stamps, and is not installed")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    key = KEYS["Ps256"]()
    files = {
        "key.pem": as_pem(key),
        "own.pem": authority.issue(key, use=ExtendedKeyUsageOID.TIME_STAMPING.dotted_string),
        "chain.pem": authority.pem,
        "serial": b"01",
        "tsa.cnf": b"[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ndefault_policy=1.2.3\n"
        b"digests=sha256,sha384,sha512\nsigner_digest=sha256\ness_cert_id_alg=sha256\n",
    }
    folder = tmp_path / "stamps"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with_files = "-config tsa.cnf -inkey key.pem -signer own.pem -chain chain.pem -queryfile asked -out answer"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "asked").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command = ["openssl", "ts", "-reply", *with_files.split()]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write((folder / "answer").read_bytes())

        def log_message(self, *_: object) -> None:
            """Tests are silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_time_stamp_tells_when_a_file_was_signed(
    stamps: str, authority: Authority, key: Any, tmp_path: Path
) -> None:
    credential = read_credential(*authority.write(tmp_path, key), stamps)
    told = told_by(sign(picture(".jpg"), ".jpg", "jug", MODEL, credential), ".jpg")
    assert told["validation_state"] == "Valid"
    signed = datetime.fromisoformat(statement(told)["signature_info"]["time"])
    assert abs(signed - datetime.now(UTC)) < timedelta(minutes=5)
