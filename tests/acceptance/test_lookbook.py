"""examples/lookbook-tryon by command: from a shop's export to images that bear the names of its SKUs."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from conftest import Command

EXAMPLE = Path(__file__).parents[2] / "examples" / "lookbook-tryon"
SKUS = ["SKU-1001", "SKU-1002", "SKU-2001", "SKU-2002", "SKU-3001-M", "SKU-3001-S"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, made by the generator that draws its request."""
    shutil.copytree(EXAMPLE, tmp_path / "lookbook")
    change(tmp_path / "lookbook" / "campaign.yaml", "model: dreamo-mini", "model: storyboard")
    return tmp_path / "lookbook"


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A server that has the export's pictures, on this machine; and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Requests are in `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder / "images")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        monkeypatch.setenv("DREAMLINE_PRIVATE_HOSTS", "127.0.0.1")
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def run(command: Command, folder: Path, patience: float = 150) -> Any:
    words = ("run", str(folder / "campaign.yaml"), "-o", "out", "--json")
    return json.loads(command(*words, patience=patience).stdout)


def test_an_export_becomes_a_file_for_each_sku(
    command: Command, folder: Path, tmp_path: Path, shop: tuple[str, list[str]]
) -> None:
    report = run(command, folder)
    assert (report["state"], report["made"], report["files"]) == ("finished", 5, 6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{sku}.jpg" for sku in SKUS]
    contents = {sku: (tmp_path / "out" / f"{sku}.jpg").read_bytes() for sku in SKUS}
    assert contents["SKU-3001-M"] == contents["SKU-3001-S"]
    assert len(set(contents.values())) == 5
    with Image.open(tmp_path / "out" / "SKU-1001.jpg") as picture:
        assert picture.format == "JPEG"

    # The same pictures at addresses, as a shop has them: fetched, and so the same images, of which none is made.
    url, asked = shop
    change(folder / "products_export.csv", "https://cdn.example.com/files/", url)
    change(folder / "campaign.yaml", ", pictures: images", "")
    report = run(command, folder)
    assert (report["made"], report["reused"], report["files"]) == (0, 5, 6)
    wanted = {path.name for path in (folder / "images").iterdir()} - {"confetti-dress-detail.png"}
    assert sorted(path.strip("/").partition("?")[0] for path in asked) == sorted(wanted)
    run(command, folder)
    assert len(asked) == len(wanted)

    change(folder / "campaign.yaml", "{{ row.sku }}.jpg", "{{ row.handle }}.jpg")
    told = command("plan", str(folder / "campaign.yaml"), expect=2).stderr
    assert "key name: meadow-tee.jpg would be two images: row 2, and row 3" in told
    change(folder / "campaign.yaml", "{{ row.handle }}", "{{ row.vendor }}/{{ row.sku }}")
    assert run(command, folder)["made"] == 0
    assert len(list((tmp_path / "out" / "Fern & Field").iterdir())) == 6


def test_a_picture_that_is_gone_is_told_with_its_row_and_address(
    command: Command, folder: Path, shop: tuple[str, list[str]]
) -> None:
    url, _ = shop
    change(folder / "products_export.csv", "https://cdn.example.com/files/meadow-tee-red", f"{url}meadow-tee-read")
    told = command("plan", str(folder / "campaign.yaml"), expect=2).stderr
    assert "products_export.csv, row 3, column image (Product image URL)" in told
    assert f"{url}meadow-tee-read.png answers 404: there is nothing there. Check the address in a browser" in told


@pytest.mark.timeout(600)
def test_dreamo_mini_dresses_people_in_what_each_sku_shows(command: Command, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "lookbook")
    export = tmp_path / "lookbook" / "products_export.csv"
    export.write_text("".join(export.read_text().splitlines(keepends=True)[:3]))
    report = run(command, tmp_path / "lookbook", patience=500)
    assert (report["state"], report["made"], report["failed"]) == ("finished", 2, 0)
    green, red = (worn_colours(tmp_path / "out" / f"{sku}.jpg") for sku in ("SKU-1001", "SKU-1002"))
    assert green["green"] > 2 * red["green"]
    assert red["red"] > 2 * green["red"]


def worn_colours(path: Path) -> dict[str, float]:
    """Shares of the pixels, in the middle of the picture, in which red or green outweighs the other two by far."""
    with Image.open(path) as picture:
        width, height = picture.size
        middle = picture.crop((width // 4, height // 3, 3 * width // 4, height)).convert("RGB")
    red, green, blue = np.asarray(middle, dtype=float).transpose(2, 0, 1)
    return {"red": float((red > 1.6 * np.maximum(green, blue)).mean()), "green": float((green > 1.3 * red).mean())}
