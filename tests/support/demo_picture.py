"""`python -m tests.support.demo_picture FILE.png`: the demonstration, a moment after a kill."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.browser import Browser
from tests.support.running import TWISTD

WIDTH, HEIGHT = 1200, 900
PLAYED = 16
"""Seconds of the film before the kill: long enough for a map with something on it."""


def take(url: str, folder: Path) -> bytes:
    """Return a picture of the page at the URL, as PNG, once a mirror's blocks are taken over."""
    browser = Browser(folder)
    try:
        page = browser.open(url, WIDTH, HEIGHT)
        page.prefer("light")
        page.until("typeof film !== 'undefined' && film.currentTime", lambda at: (at or 0) > PLAYED)
        page.value("document.querySelector('.mirror button').click()")
        page.until("$('news').textContent", lambda news: "took over" in news)
        bottom = page.value("document.querySelector('main').getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": bottom + 16, "scale": 1}
        told = page.call("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        return base64.b64decode(told["data"])
    finally:
        browser.close()


def main(name: str) -> None:
    command = [*TWISTD, "aprp", "--demo", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo,
    ):
        try:
            assert demo.stdout is not None
            url = next(filter(None, (re.search(r"http://\S+", line) for line in demo.stdout)))[0]
            Path(name).write_bytes(take(url, Path(folder)))
        finally:
            demo.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
