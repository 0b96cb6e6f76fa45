"""Open a page in headless Chromium: what its scripts found, what its console said, how it looks."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

__all__ = ["Opened", "look_at", "needs_chromium", "open_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
needs_chromium = pytest.mark.skipif(_CHROMIUM is None, reason="no Chromium on this machine")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
)  # fmt: skip


@attrs.frozen
class Opened:
    """What `found(value)` of the script was called with last, and the console's lines."""

    found: Any
    console: list[str]


def open_page(page: str, script: str, folder: Path) -> Opened:
    """Load a page from a file, run a script in it that ends with `found(value)`."""
    keep = "const found = (value) => { document.body.dataset.found = JSON.stringify(value); };"
    path = folder / "opened.html"
    path.write_text(page.replace("</body>", f"<script>{keep}\n{script}</script></body>"), "utf-8")
    done = _run(path, folder, "--window-size=1440,1200", "--dump-dom")
    kept = re.search(r'data-found="([^"]*)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Opened(json.loads(html.unescape(kept[1])) if kept else None, console)


def look_at(page: str, folder: Path, *flags: str) -> npt.NDArray[np.uint8]:
    """Return the pixels of a page, 1440 x 1200, as it looks with some flags."""
    path, shot = folder / "seen.html", folder / "seen.png"
    path.write_text(page, "utf-8")
    _run(path, folder, "--window-size=1440,1200", f"--screenshot={shot}", *flags)
    pixels: npt.NDArray[np.uint8] = np.round(imread(shot)[:, :, :3] * 255).astype(np.uint8)
    return pixels


def _run(path: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert _CHROMIUM is not None
    profile = f"--user-data-dir={folder / 'profile'}"
    return subprocess.run(
        [_CHROMIUM, *_FLAGS, profile, *flags, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
