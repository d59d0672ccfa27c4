"""Debian's Chromium, driven by Playwright, for tests of the pages; one for all tests of a process."""

import json
import os
import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from waiting import BOUND

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
ROOT = Path(__file__).parents[1]
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe-core that look at colours."""
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def chromium():
    """Where the browser is; ``None`` where there is none."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return os.environ.get("CHROMIUM") or next(filter(None, found), None)


def axe():
    """The file of axe-core, which judges a page's accessibility; ``None`` where it is not installed."""
    places = [os.environ.get("AXE"), ROOT / ".ci" / "node_modules" / "axe-core" / "axe.min.js"]
    return next((Path(place) for place in places if place and Path(place).exists()), None)


def missing():
    """What the tests in a browser lack here, and how to get it; ``""`` where they lack nothing."""
    if chromium() is None:
        return "Chromium is not here: apt-get install chromium, or CHROMIUM=/path/to/it"
    if find_spec("playwright") is None:
        return "Playwright is not here: pip install '.[browser]'"
    if axe() is None:
        return "axe-core is not here: npm ci --prefix .ci, or AXE=/path/to/axe.min.js"
    return ""


@contextmanager
def running():
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page(browser, served, *, complaints=True, **options):
    """A page of its own at a server; whatever it asked of anybody else, or complained of, fails the test."""
    here = f"http://127.0.0.1:{served.port}"
    context = browser.new_context(base_url=here, **{"viewport": WIDE, **options})
    context.set_default_timeout(BOUND * 1000)
    opened = context.new_page()
    elsewhere, said = [], []
    context.on("request", lambda request: elsewhere.append(request.url))
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert [url for url in elsewhere if not url.startswith(here)] == []
    assert said == [] or not complaints


def violations(opened, rules=()):
    """What axe-core finds wrong with a page, by these of its rules or by all, in one line each."""
    if not opened.evaluate("'axe' in window"):
        opened.evaluate(axe().read_text(encoding="utf-8"))
    asked = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = opened.evaluate("asked => axe.run(document, asked)", asked)
    return [
        f"{one['id']}: {node['html'][:200]} {json.dumps(node['any'][:1])[:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
