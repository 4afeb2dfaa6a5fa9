"""A real browser for the tests that need one; where there is none, they say so and are skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench.report.page.render import make_page
from tests.report.page.worlds import demo, evil, odd, paper

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A browser that asks nobody anything and speaks to nobody."""


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium (or the one that CHROMIUM names), driven by Playwright, with an empty profile."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or CHROMIUM=/path/to/one")
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: pip install playwright")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, headless=True, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe():
    """axe-core's source, where npm has put it."""
    places = [os.environ.get("AXE_CORE", ""), ROOT / "node_modules" / "axe-core" / "axe.min.js"]
    found = next((Path(place) for place in places if place and Path(place).is_file()), None)
    if found is None:
        pytest.skip("no axe-core here: npm install --no-save axe-core, or AXE_CORE=/path/to/axe.min.js")
    return found.read_text()


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """The pages of some worlds as files, by name."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, results in (("demo", demo()), ("paper", paper()), ("evil", evil()), ("odd", odd())):
        made[name] = folder / f"{name}.html"
        made[name].write_text(make_page(results).html)
    return made


@pytest.fixture
def visit(browser, pages):
    """Open a page at an address, at a width and in a scheme; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def opened(name, place="", width=1440, scheme="light", **more):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if "://" in request.url[:8] else None)
        target = pages[name].as_uri() if name in pages else name
        page.goto(f"{target}{place}")
        complaints[:] = [line for line in complaints if not line.startswith(("file://", "http://127.0.0.1", target))]
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not [line for line in complaints if not line.startswith(("file://", "http://127.0.0.1"))]
