"""Programs of other people that run under Node: installed on demand from a lock file, or the reason why not."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parent / "clients"
LEAST = 20
# A cold download over a slow line; nothing here measures time.
PATIENCE = 600


def packages(folder: Path = CLIENTS) -> None:
    """Install what a folder's package-lock.json names, once for each state of it; skip where that cannot be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    version = run(["node", "--version"], folder).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < LEAST:
        pytest.skip(f"node {version} is older than {LEAST}")
    state = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".relata-installed"
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    # One of the test processes installs, the others wait for it.
    with (Path(tempfile.gettempdir()) / f"relata-npm-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == state:
            return
        done = run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
        if done.returncode:
            pytest.skip(f"npm could not install the packages: {_reason(done.stderr)}")
        stamp.write_text(state)


def run(
    command: list[str], folder: Path = CLIENTS, *, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `environment` comes on top of our own."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _reason(stderr: str) -> str:
    errors = [line for line in stderr.splitlines() if line.startswith("npm error")]
    return (errors or stderr.splitlines() or ["no reason given"])[0]
