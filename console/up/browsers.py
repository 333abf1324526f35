"""A browser for the browser tests: the machine's, or one that is installed now. They are never skipped in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from console.up.places import Refused

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PROBE = "from playwright.sync_api import sync_playwright as p\nwith p() as w: print(w.chromium.executable_path)"


def executable() -> str | None:
    """The path of a Chromium that is installed here: the system's, else Playwright's own, else None."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    asked = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False)
    path = asked.stdout.strip()
    return path if asked.returncode == 0 and os.path.exists(path) else None


def ensure() -> str:
    """The path of a Chromium, installing one where there is none. Raises Refused with the command to run."""
    found = executable()
    if found:
        return found
    if os.getuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium for the browser tests (apt-get) ...", file=sys.stderr, flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]):
            _try(["apt-get", *words], quiet)
    if not executable():
        print("Installing Chromium for the browser tests (playwright) ...", file=sys.stderr, flush=True)
        _try([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    found = executable()
    if not found:
        raise Refused(
            "the browser tests need Chromium and it could not be installed: run `apt-get install chromium` as root, or "
            f"`{sys.executable} -m playwright install --with-deps chromium`"
        )
    return found


def _try(argv: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        print(f"  {' '.join(argv)}: {said[-1] if said else done.returncode}", file=sys.stderr)
