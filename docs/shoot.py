"""Takes the screenshots of docs/review.md: `python docs/shoot.py`.

Runs the example campaign in a home of its own, reviews some of it by keyboard, and photographs every page in a
headless Chromium, light and dark, 1440 and 820 pixels wide, as WebP into docs/screenshots.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).parent / "screenshots"
SIZES = ((1440, 900), (820, 1000))


def main() -> None:
    """Everything, from an empty home."""
    from playwright.sync_api import sync_playwright

    home = Path(tempfile.mkdtemp(prefix="dreamline-shoot-"))
    home.chmod(0o755)
    environment = {**os.environ, "DREAMLINE_HOME": str(home)}
    program = [sys.executable, "-m", "orchestrator.cli"]
    subprocess.run([*program, "demo", "-o", str(home / "out")], env=environment, check=True)
    server = subprocess.Popen(
        [*program, "dashboard", "--no-open", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = next(line.split()[1] for line in server.stdout if line.startswith("Dashboard: "))
    FOLDER.mkdir(exist_ok=True)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            prepare(browser, url, sorted((home / "out").glob("*.png")))
            for scheme in ("light", "dark"):
                for width, height in SIZES:
                    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                    shoot(context.new_page(), url, f"{scheme}-{width}")
                    context.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


def prepare(browser: Any, url: str, pictures: list[Path]) -> None:
    """Some approved, some rejected, one tried again; pictures of another tool to compare with."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    open_page(page, f"{url}/review?campaign=summer-drop", ".card")
    for letter in "pppppxppxpppp":
        page.keyboard.press(letter)
    for letters in ("e", "7", "Control+Enter"):
        page.keyboard.press(letters)
    page.wait_for_selector("text=the next attempt is here", timeout=120_000)
    open_page(page, f"{url}/compare?campaign=summer-drop", "h1")
    page.get_by_label("Tool").fill("the studio")
    chosen = {path.name.split("-")[0]: path for path in pictures}
    rows = {"mug": "mug-poppy", "sneaker": "sneaker-marina", "tote": "tote-clover", "lamp": "lamp-berry"}
    files = [
        {"name": f"{rows[word]}.png", "mimeType": "image/png", "buffer": path.read_bytes()}
        for word, path in chosen.items()
    ]
    page.set_input_files("input[type=file]", files)
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Bring in", exact=True).click()
    page.wait_for_selector("text=Which one would you publish?")
    page.get_by_role("button", name="Left").click()
    page.wait_for_timeout(1500)
    page.close()


def shoot(page: Any, url: str, name: str) -> None:
    """Every page at one size and in one scheme."""
    open_page(page, url, "text=summer-drop")
    keep(page, f"campaigns-{name}")
    open_page(page, f"{url}/?campaign=summer-drop", "text=Last pictures")
    keep(page, f"campaign-{name}")
    open_page(page, f"{url}/review?campaign=summer-drop&verdict=all", ".card")
    keep(page, f"review-{name}")
    page.keyboard.press("e")
    page.keyboard.press("3")
    keep(page, f"change-{name}")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    keep(page, f"keys-{name}")
    open_page(page, f"{url}/review?campaign=summer-drop", ".card")
    page.keyboard.press("Space")
    keep(page, f"attempt-{name}")
    page.keyboard.press("ArrowRight")
    keep(page, f"single-{name}")
    item = page.locator(".detail a").get_attribute("href")
    open_page(page, f"{url}{item}", "text=Recipe")
    keep(page, f"image-{name}")
    open_page(page, f"{url}/compare?campaign=summer-drop", "text=Win rate of ours")
    keep(page, f"compare-{name}")
    open_page(page, f"{url}/new", "h1")
    page.get_by_role("button", name="summer-drop").click()
    page.wait_for_selector("text=Plan of summer-drop", timeout=60_000)
    keep(page, f"new-{name}")


def open_page(page: Any, url: str, wanted: str) -> None:
    page.goto(url)
    page.wait_for_selector(wanted, timeout=30_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(700)


def keep(page: Any, name: str) -> None:
    page.wait_for_timeout(600)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(FOLDER / f"{name}.webp", quality=72, method=6)


if __name__ == "__main__":
    main()
