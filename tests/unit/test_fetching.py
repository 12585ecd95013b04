"""Pictures from addresses, over a real server on this machine: limits, redirects, what is kept and refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from PIL import Image

from core.registry import Registry
from core.settings import Settings
from orchestrator.planning.expand import read_brief
from orchestrator.planning.fetching import addresses, downloads, fetcher, kept
from orchestrator.planning.fetching.addresses import is_own, is_public, look_up, read_address
from orchestrator.planning.fetching.fetcher import Fetched, Fetcher, public_part
from orchestrator.planning.fetching.refused import Refused
from orchestrator.planning.pictures import check_pictures, place_of

if TYPE_CHECKING:
    from conftest import Read


def png(colour: str = "red", side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """A server whose pages are functions; `asked` are the requests, with their headers."""

    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def picture(self, path: str, data: bytes, **headers: str) -> str:
        """A page with a file; returns its address."""
        self.pages[path] = lambda request: send(request, 200, data, **headers)
        return self.url + path


def send(request: BaseHTTPRequestHandler, status: int, data: bytes = b"", **headers: str) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(data)))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            site.pages.get(self.path.partition("?")[0], lambda request: send(request, 404))(self)

        def log_message(self, *_: object) -> None:
            """Requests are in `asked`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that hang up are part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", private_hosts=("127.0.0.1",), picture_seconds=5)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PAUSE_SECONDS", 0.01)


def fetch(settings: Settings, address: str) -> Fetched:
    (found,) = Fetcher(settings).fetch([address]).values()
    return found


def refused(settings: Settings, address: str) -> Refused:
    found = fetch(settings, address)
    assert found.refused is not None, found
    return found.refused


def later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched is no longer fresh."""
    monkeypatch.setattr(fetcher, "FRESH_SECONDS", 0.0)


def test_a_picture_is_fetched_once_however_often_it_is_named_and_kept(settings: Settings, site: Site) -> None:
    site.picture("/a%20b.png", png())
    address = site.url + "/a b.png"
    shown: list[tuple[int, int]] = []
    found = Fetcher(settings, lambda *told: shown.append(told)).fetch([address, address, site.url + "/none.png"])
    one = found[address]
    assert one.path is not None
    assert one.path.read_bytes() == png()
    assert one.path.is_relative_to(settings.home)
    assert fetch(settings, address) == one
    assert sorted(path for path, _ in site.asked) == ["/a%20b.png", "/none.png"]
    assert shown == [(1, 2), (2, 2)]


def test_what_is_kept_is_asked_for_by_its_mark_and_comes_anew_when_it_has_changed(
    settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, data = ['"1"'], [png()]

    def page(request: BaseHTTPRequestHandler) -> None:
        same = request.headers.get("If-None-Match") == mark[0]
        send(request, 304 if same else 200, b"" if same else data[0], ETag=mark[0])

    site.pages["/a.png"] = page
    later(settings, monkeypatch)
    first = fetch(settings, site.url + "/a.png")
    assert fetch(settings, site.url + "/a.png") == first
    mark[0], data[0] = '"2"', png("blue")
    second = fetch(settings, site.url + "/a.png")
    assert [headers.get("If-None-Match") for _, headers in site.asked] == [None, '"1"', '"1"']
    assert second.path is not None
    assert second.path.read_bytes() == png("blue")


def test_a_server_that_does_not_answer_leaves_the_picture_from_before_and_that_is_said(
    settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = site.picture("/a.png", png())
    first = fetch(settings, address + "?token=secret")
    later(settings, monkeypatch)
    site.pages["/a.png"] = lambda request: send(request, 503)
    again = fetch(settings, address + "?token=secret")
    assert again.path == first.path
    assert "answers 503" in again.warning
    assert "0 minutes ago" in again.warning
    assert "secret" not in again.warning
    site.pages["/a.png"] = lambda request: send(request, 404)
    assert "there is nothing there" in refused(settings, address + "?token=secret").what


def test_what_breaks_off_is_gone_on_with_where_the_server_marks_its_version(
    settings: Settings, site: Site
) -> None:
    data, ends = png(side=300) + bytes(200_000), [100_000, 150_000]

    def page(request: BaseHTTPRequestHandler) -> None:
        ranged = request.headers.get("Range")
        begun = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else 0
        assert not ranged or request.headers["If-Range"] == '"v1"'
        request.send_response(206 if ranged else 200)
        if ranged:
            request.send_header("Content-Range", f"bytes {begun}-{len(data) - 1}/{len(data)}")
        request.send_header("ETag", '"v1"')
        request.send_header("Content-Length", str(len(data) - begun))
        request.end_headers()
        end = ends.pop(0) if ends else len(data)
        request.wfile.write(data[begun:end])
        request.close_connection = True

    site.pages["/large.png"] = page
    found = fetch(settings, site.url + "/large.png")
    assert found.path is not None
    assert found.path.read_bytes() == data
    assert [headers.get("Range") for _, headers in site.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_what_breaks_off_without_a_mark_begins_again(settings: Settings, site: Site) -> None:
    data, breaks = png(), [True]

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[:20] if breaks and breaks.pop() else data)
        request.close_connection = True

    site.pages["/a.png"] = page
    found = fetch(settings, site.url + "/a.png")
    assert found.path is not None
    assert found.path.read_bytes() == data
    assert all("Range" not in headers for _, headers in site.asked)


def test_a_rest_that_is_no_longer_there_begins_again(settings: Settings, site: Site) -> None:
    address = site.picture("/a.png", png())
    with kept.Kept.of(settings).part(address) as part:
        part.write_bytes(png())
        part.with_name(f"{part.name}.mark").write_text('"old"')
    site.pages["/a.png"] = lambda request: send(
        request, *((416, b"") if "Range" in request.headers else (200, png("blue")))
    )
    found = fetch(settings, address)
    assert found.path is not None
    assert found.path.read_bytes() == png("blue")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(settings: Settings, site: Site, status: int) -> None:
    site.picture("/b.png", png())
    site.pages["/a.png"] = lambda request: send(request, status, Location="/b.png")
    found = fetch(settings, site.url + "/a.png")
    assert found.path is not None
    assert [path for path, _ in site.asked] == ["/a.png", "/b.png"]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("http://169.254.169.254/latest/meta-data", "leads to 169.254.169.254, which is no address of the public"),
        ("http://10.0.0.1:9/x.png", "which is no address of the public internet"),
        ("file:///etc/passwd", "begins with file://"),
        ("gopher://127.0.0.1/", "begins with gopher://"),
        ("http://user:pass@127.0.0.1/", "user's name or password"),
        ("", "leads nowhere"),
        ("/a.png", "leads on more than 5 times"),
    ],
)
def test_redirects_lead_only_where_an_address_may(settings: Settings, site: Site, place: str, told: str) -> None:
    site.pages["/a.png"] = lambda request: send(request, 302, Location=place)
    assert told in refused(settings, site.url + "/a.png").what
    assert len(site.asked) == (6 if place == "/a.png" else 1)


def test_a_private_address_is_refused_before_anything_is_sent(settings: Settings, site: Site) -> None:
    address = site.picture("/a.png", png())
    strict = Settings(home=settings.home)
    for way in (address, address.replace("127.0.0.1", "localhost"), address.replace("127.0.0.1", "127.1")):
        told = refused(strict, way)
        assert "leads to 127.0.0.1" in told.what or "leads to ::1" in told.what
        assert "DREAMLINE_PRIVATE_HOSTS=" in told.mend
    assert site.asked == []
    assert fetch(Settings(home=settings.home, private_hosts=("127.0.0.0/8",)), address).path is not None


def test_the_connection_goes_to_the_number_that_was_checked(
    settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that stands for a public number when it is checked and for a private one a moment later."""
    real, looked = socket.getaddrinfo, []

    def changing(host: str, port: int, *args: Any, **named: Any) -> Any:
        if host != "rebinding.test":
            return real(host, port, *args, **named)
        looked.append(host)
        number = "203.0.113.7" if len(looked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    monkeypatch.setattr(addresses, "is_public", lambda number: str(number) == "203.0.113.7")
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(fetcher, "TRIES", 1)
    port = site.url.rpartition(":")[2]
    told = refused(Settings(home=settings.home), f"http://rebinding.test:{port}/a.png")
    assert "takes no connection" in told.what
    assert looked == ["rebinding.test"]
    assert site.asked == []


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 1_000_000)
    sent = [0]

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while sent[0] < 50_000_000:
                sent[0] += request.wfile.write(bytes(100_000))
        except OSError:
            pass
        request.close_connection = True

    site.pages["/endless"] = endless
    site.pages["/told"] = lambda request: send(request, 200, bytes(1_000_001))
    for path in ("/endless", "/told"):
        told = refused(settings, site.url + path)
        assert "has 1 MB" in told.what
        assert "1 MB is the most" in told.mend
    assert sent[0] < 50_000_000


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_sends_a_letter_now_and_then_is_left_at_the_deadline(
    settings: Settings, site: Site, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        if part == "body":
            request.send_response(200)
            request.end_headers()
        try:
            for _ in range(200):
                request.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    monkeypatch.setattr(fetcher, "TRIES", 1)
    site.pages["/slow"] = slow
    began = time.monotonic()
    limited = Settings(home=settings.home, private_hosts=settings.private_hosts, picture_seconds=1)
    told = refused(limited, site.url + "/slow")
    assert "within 1 s (DREAMLINE_PICTURE_SECONDS)" in told.what
    assert time.monotonic() - began < 8


def test_whoever_stops_waiting_need_not_wait_for_slow_servers(settings: Settings, site: Site) -> None:
    """As Ctrl-C does: the exception comes out of `show`, while two servers are silent."""
    silent = threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x")
        silent.wait(20)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    site.pages |= {"/slow": slow, "/slower": slow}
    addresses = [site.url + path for path in ("/slow", "/slower")] + [site.picture("/a.png", png())]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Fetcher(Settings(home=settings.home, private_hosts=settings.private_hosts), stop).fetch(addresses)
    assert time.monotonic() - began < 10
    silent.set()


@pytest.mark.parametrize(
    ("status", "told", "times"),
    [
        *(
            (401, "wants a login", 1),
            (403, "wants a login", 1),
            (410, "nothing there", 1),
            (418, "answers 418", 1),
        ),
        *((429, "can't answer now", 3), (500, "can't answer now", 3)),
    ],
)
def test_what_a_server_says_is_told_and_only_what_passes_is_tried_again(
    settings: Settings, site: Site, status: int, told: str, times: int
) -> None:
    site.pages["/a.png"] = lambda request: send(request, status)
    assert told in refused(settings, site.url + "/a.png").what
    assert len(site.asked) == times


def test_nobody_listening_and_nobody_known(settings: Settings) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = refused(settings, f"http://127.0.0.1:{free.getsockname()[1]}/a.png")
    assert "takes no connection" in told.what
    assert "is not known" in refused(settings, "http://no-such-host.invalid/a.png").what


def test_https_wants_a_certificate(settings: Settings, site: Site) -> None:
    told = refused(settings, site.url.replace("http:", "https:") + "/a.png")
    assert "can't be fetched" in told.what


def test_a_folder_that_cannot_be_written_is_told(settings: Settings, site: Site) -> None:
    settings.home.mkdir()
    (settings.home / "cache").write_text("a file where a folder should be")
    told = refused(settings, site.picture("/a.png", png()))
    assert "can't be kept below" in told.what


def test_a_picture_is_known_by_its_content_not_by_what_the_server_calls_it(settings: Settings, site: Site) -> None:
    page = site.picture("/page.jpg", b"<!DOCTYPE html><p>Not found", Content_Type="image/jpeg")
    picture = site.picture("/download", png(), Content_Type="application/octet-stream")
    found = check_pictures([page, picture], Fetcher(settings))
    assert "is a web page, not a picture" in found[page].what
    assert found[page].what.startswith(page)
    assert found[picture].sha256
    assert found[picture].source == picture


def test_damaged_notes_and_lost_bytes_are_fetched_again(settings: Settings, site: Site) -> None:
    address = site.picture("/a.png", png())
    for damage in (b"", b"{}", b"[1]", b'{"address": 3}'):
        fetch(settings, address)
        (note,) = (settings.home / "cache" / "fetched").glob("*.json")
        note.write_bytes(damage)
        assert fetch(settings, address).path is not None
    found = fetch(settings, address)
    assert found.path is not None
    found.path.write_bytes(b"half")
    assert fetch(settings, address).path == found.path
    assert found.path.read_bytes() == png()
    assert len(site.asked) == 6


def test_a_brief_says_where_its_pictures_were_but_not_the_keys_to_them(
    settings: Settings, site: Site, registry: Registry, tmp_path: Path
) -> None:
    address, path = site.picture("/a.png", png()), tmp_path / "campaign.yaml"
    (tmp_path / "b.png").write_bytes(png("blue"))
    path.write_text(
        "campaign: x\nmodel: storyboard\nprompt: 'a thing from [it]'\n"
        f"rows: [{{sku: a, image: '{address}?token=secret'}}, {{sku: b, image: b.png}}]\n"
        "references: {it: {kind: subject, image: '{{ row.image }}'}}\n"
    )
    brief = read_brief(path, settings, registry)
    first, second = (item.request.references[0] for item in brief.items())
    assert (first.source, second.source) == (address, str(tmp_path / "b.png"))
    assert brief.files[first.sha256].read_bytes() == png()
    assert brief.addresses == {first.sha256: address}


class Bucket(LocalFileSystem):
    """A folder that fsspec opens as a bucket: drivers are called as those of real ones are."""

    protocol = "s3"
    root = ""

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return f"{cls.root}/{str(path).removeprefix('s3://').removeprefix(cls.root).lstrip('/')}"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bucket" / "shop"
    folder.mkdir(parents=True)
    Bucket.root = str(folder.parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules["fsspec.registry"]._registry, "s3", Bucket)  # type: ignore[attr-defined]
        yield folder


def test_objects_of_buckets_are_copied_once_and_again_when_they_change(
    settings: Settings, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "a.png").write_bytes(png())
    later(settings, monkeypatch)
    first = fetch(settings, "s3://shop/a.png")
    assert first.path is not None
    assert first.path.read_bytes() == png()
    read: list[str] = []
    real = Bucket.open
    monkeypatch.setattr(Bucket, "open", lambda self, path, *a, **k: read.append(path) or real(self, path, *a, **k))
    assert fetch(settings, "s3://shop/a.png") == first
    assert read == []
    (bucket / "a.png").write_bytes(png("blue", 40))
    again = fetch(settings, "s3://shop/a.png")
    assert again.path is not None
    assert again.path.read_bytes() == png("blue", 40)
    assert len(read) == 1
    assert refused(settings, "s3://shop/none.png").what == "is not there"
    assert refused(settings, "s3://shop").what == "is a folder"


def test_a_bucket_without_its_driver_says_what_to_install(settings: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gcsfs", None)
        told = refused(settings, "gs://shop/a.png")
    assert told.what == "needs gcsfs, which is not installed"
    assert told.mend == "pip install gcsfs"


def test_where_a_text_says_that_a_picture_is(tmp_path: Path) -> None:
    def place(text: str) -> Any:
        return place_of(text, tmp_path, strange=False)

    assert place("images/a.png") == tmp_path / "images/a.png"
    assert place("file:///srv/a%20b.png") == place("file://localhost/srv/a%20b.png") == Path("/srv/a b.png")
    assert place("//cdn.example.com/a.png") == "https://cdn.example.com/a.png"
    assert place("s3://shop/a.png") == "s3://shop/a.png"
    for text in ("ftp://a.b/c.png", "zip://x::http://10.0.0.1/", "s3://shop/x::http://10.0.0.1/", "http:///a.png"):
        with pytest.raises(Refused):
            place(text)
    for text in ("file:///srv/a.png", "s3://shop/a.png"):
        with pytest.raises(Refused):
            place_of(text, tmp_path, strange=True)


def test_messages_show_no_password_and_no_query() -> None:
    assert public_part("https://anna:secret@shop.example/a.png?key=secret") == "https://shop.example/a.png"
    assert public_part("images/what?.png") == "images/what?.png"


@pytest.mark.parametrize(
    ("number", "public"),
    [
        *((one, True) for one in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")),
        *((one, False) for one in ("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254")),
        *((one, False) for one in ("172.16.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255", "::", "::1")),
        *((one, False) for one in ("fe80::1", "fec0::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1")),
        *((one, False) for one in ("64:ff9b:1::7f00:1", "::127.0.0.1", "::10.0.0.1")),
        *((one, False) for one in ("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::")),
    ],
)
def test_only_numbers_of_the_public_internet_are_public(number: str, public: bool) -> None:
    assert is_public(ip_address(number)) is public


def test_people_allow_their_own_hosts_by_name_number_or_network() -> None:
    number = ip_address("10.1.2.3")
    assert is_own("media.intranet", number, ("Media.Intranet",))
    assert is_own("other", number, ("10.1.2.3",))
    assert is_own("other", number, ("nonsense/99", "10.1.0.0/16"))
    assert not is_own("other", number, ("10.2.0.0/16", "intranet", "::/0"))


@tried(deadline=None, max_examples=200)
@given(st.text(max_size=60) | st.builds("http://{}/{}".format, st.text(max_size=20), st.text(max_size=20)))
def test_any_text_is_an_address_that_can_be_sent_or_is_refused(text: str) -> None:
    try:
        address = read_address(text)
    except Refused:
        return
    assert str(address).isascii()
    assert str(address).isprintable()
    assert " " not in str(address)
    assert read_address(str(address)) == address


def test_a_host_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("10.0.0.1", "8.8.8.8", "8.8.8.8")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: told)
    assert look_up(read_address("http://mixed.test/"), ()) == (ip_address("8.8.8.8"),)


def test_a_table_may_lie_at_an_address_too(settings: Settings, site: Site, read: Read) -> None:
    feed = b"<rss><item><id>A-1</id><title>Mug</title><image_link>https://x.test/a.jpg</image_link></item></rss>"
    for path, data in (("/feed.xml", feed), ("/feed", feed), ("/products.csv", b"sku,noun\nA-1,mug\n")):
        table, findings = read(settings.home, site.picture(path, data) + "?key=secret")
        assert not findings, read.told(findings)
        assert [row.key for row in table.rows] == ["A-1"]
        assert "secret" not in "".join((*findings.warnings, table.source))
    _, findings = read(settings.home, site.picture("/broken.xml", b"<rss>"))
    assert f"{site.url}/broken.xml, line 1: is not XML" in read.told(findings)
    _, findings = read(settings.home, site.url + "/none.csv")
    assert f"line 3, key rows: {site.url}/none.csv answers 404" in read.told(findings)


@pytest.fixture
def secure(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The site over TLS as https://shop.test:PORT, with a certificate for that name that this machine trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    wanted = ("-nodes", "-days", "2", "-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", str(key), "-out", str(certificate))
    subprocess.run(["openssl", "req", "-x509", *wanted, *made], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    real = socket.getaddrinfo

    def known(host: str, port: int, *args: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host.endswith(".test") else host, port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", known)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            site.pages[self.path](self)

        def log_message(self, *_: object) -> None:
            """Requests are in `asked`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that don't trust it hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"https://shop.test:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_certificate_is_held_against_the_name_though_a_number_is_connected_to(
    settings: Settings, site: Site, secure: str
) -> None:
    site.picture("/a.png", png())
    found = fetch(settings, f"{secure}/a.png")
    assert found.path is not None, found.refused
    assert found.path.read_bytes() == png()
    assert site.asked[0][1]["Host"] == secure.removeprefix("https://")
    told = refused(settings, f"{secure.replace('shop.test', 'other.test')}/a.png")
    assert "other.test has no valid certificate" in told.what
    assert len(site.asked) == 1


def test_a_picture_that_is_used_while_its_server_is_away_is_not_old(settings: Settings, site: Site) -> None:
    address = site.picture("/a.png", png())
    fetch(settings, address)
    here = kept.Kept.of(settings)
    (note,) = here.folder.glob("*.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "checked": 0.0}))
    for path in (note, *here.folder.glob("contents/*")):
        os.utime(path, (0, 0))
    assert note in here.old(30)
    site.pages["/a.png"] = lambda request: send(request, 503)
    assert fetch(settings, address).warning
    assert not {note, *here.folder.glob("contents/*")} & set(here.old(30))
