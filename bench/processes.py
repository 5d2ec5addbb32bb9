"""Servers under test: started, awaited, their CPU time read, stopped."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str], url: str, log: Path) -> Iterator[int]:
    """Run `command` until the block ends; its process id once `url` answers at all."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _await(process, url, log)
            yield process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _await(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{process.args!r} did not come up:\n{log.read_text()[-3000:]}")


def listening_apart(*, listens: bool) -> None:
    """Keep this process, and those it is going to start, to the last processor if it `listens`, else to the others.

    Where there are fewer than three, or the system knows nothing of this, it changes nothing.
    """
    if not hasattr(os, "sched_setaffinity") or (count := os.cpu_count() or 1) < 3:
        return
    os.sched_setaffinity(0, {count - 1} if listens else set(range(count - 1)))


def cpu_seconds(root: int) -> float:
    """CPU time that `root` and all its descendants, living or reaped, have used."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        pid = int(text.split(" ", 1)[0])
        fields = text.rsplit(")", 1)[1].split()
        children.setdefault(int(fields[1]), []).append(pid)
        used[pid] = sum(map(int, fields[11:15])) / TICKS
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, [])
    return total
