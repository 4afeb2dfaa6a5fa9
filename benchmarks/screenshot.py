"""A small picture of the report's first screen, for a README: `python benchmarks/screenshot.py PAGE PNG`.

PAGE is what `bench report` wrote. It takes Debian's Chromium (CHROMIUM names another) and Playwright.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1280, 720
COLOURS = 128
"""The page has few colours: as many as this keep it small."""


def main() -> None:
    """Open the page, take its first screen, and write it small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("png", type=Path)
    parser.add_argument("--place", default="", help='a part of the page, such as "#explorer"')
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    taken = screen(asked.page.resolve().as_uri() + asked.place, "dark" if asked.dark else "light")
    picture = Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS)
    picture.save(asked.png, optimize=True)
    print(f"{asked.png}: {picture.width} x {picture.height}, {asked.png.stat().st_size // 1024} KB")


def screen(address: str, scheme: str) -> bytes:
    """The first screen of a page as PNG."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(address)
        page.locator("main").wait_for()
        taken = page.screenshot()
        running.close()
    return taken


if __name__ == "__main__":
    main()
