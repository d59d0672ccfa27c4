"""Takes the README's pictures of the pages anew: python tests/screenshots.py

The bad Monday as it stood at 14:41, and the session of ten o'clock as it is since.
"""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import chromium
import keys
from meetings import read_into
from served import served

from tracker.delivery.signature import Keyring

ROOT = Path(__file__).parents[1]
MONDAY = ROOT / "examples" / "bad_monday.jsonl"
PICTURES = (
    ("overview.png", "2026-11-23T14:41:00Z", "/", "light", 1280, 900),
    ("sessions.png", "2026-11-23T14:41:00Z", "/sessions", "dark", 1280, 700),
    ("session.png", "2026-11-23T20:00:00Z", "/sessions/6b040ea029e961d671985824", "light", 1280, 1000),
)


def main():
    with TemporaryDirectory() as scratch, chromium.running() as browser:
        for name, until, path, scheme, width, height in PICTURES:
            data = Path(scratch, name)
            data.mkdir()
            key = keys.write_public(data / "key.pem")
            read_into(data, _known(until, data / "monday.jsonl"))
            ring = Keyring([key])
            now = datetime.fromisoformat(until)
            viewport = {"width": width, "height": height}
            with (
                served(data, keys={None: ring}, now=now) as server,
                chromium.page(browser, server, viewport=viewport, color_scheme=scheme) as opened,
            ):
                opened.goto(path)
                opened.get_by_text("Live", exact=True).wait_for()
                opened.screenshot(path=ROOT / ".github" / name)


def _known(until, log):
    """The log as it was at a moment."""
    lines = MONDAY.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if line.partition(b'"received_at": "')[2].decode() < until))
    return log


if __name__ == "__main__":
    main()
