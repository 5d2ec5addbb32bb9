"""`relata serve`, from the outside: it says when it is ready, and nothing outlives it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PATIENCE, fastest_place, nobody_runs_in, until


@dataclass(slots=True)
class Installation:
    """A data directory, and the processes that were started on it."""

    data_dir: Path
    started: list[subprocess.Popen[str]]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RELATA_")}
        kept.pop("DATABASE_URL", None)
        return {**kept, "RELATA_DATA_DIR": str(self.data_dir), "RELATA_PORT": "0", **more}

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", *arguments],
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As a shell does: Ctrl-C reaches the whole group.
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def serve(self, *arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        """A server that is ready, and its URL."""
        process = self.begin("serve", *arguments, **environment)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.fullmatch(r"Relata is ready: (http://127\.0\.0\.1:\d+/graphql)\n", line):
                return process, found[1]
        raise AssertionError(process.communicate()[1])

    def key(self) -> str:
        """A new key of a new account or an old one, made while the server runs."""
        made = self.begin("keys", "create", "-a", "acme", "--create", "--role", "super_admin", "-q")
        out, err = made.communicate()
        assert made.returncode == 0, err
        return out.strip()

    def children(self, parent: int) -> list[int]:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return [pid for pid, its_parent in pairs if its_parent == parent]


@pytest.fixture
def installation() -> Iterator[Installation]:
    data_dir = Path(tempfile.mkdtemp(prefix="relata-serve-", dir=fastest_place()))
    found = Installation(data_dir, [])
    yield found
    for process in found.started:
        process.kill()
        process.communicate()
    until(lambda: nobody_runs_in(data_dir))
    shutil.rmtree(data_dir)


def ask(url: str, key: str, query: str) -> Any:
    request = urllib.request.Request(
        url,
        data=json.dumps({"query": query}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order(installation: Installation, how: signal.Signals) -> None:
    server, url = installation.serve()
    key = installation.key()
    assert ask(url, key, "{ account { name } }")["data"] == {"account": {"name": "acme"}}

    server.send_signal(how)
    _, err = server.communicate()
    assert server.returncode == 0
    assert "Traceback" not in err
    assert "Relata has stopped." in err
    # Not soon: already, when the server's own process has ended.
    assert nobody_runs_in(installation.data_dir)

    _, url = installation.serve()
    assert ask(url, key, "{ account { name } }")["data"] == {"account": {"name": "acme"}}


def test_a_killed_server_leaves_no_process_and_loses_no_data(installation: Installation) -> None:
    server, _ = installation.serve()
    key = installation.key()
    workers = installation.children(server.pid)
    assert workers
    server.kill()
    until(lambda: nobody_runs_in(installation.data_dir))
    until(lambda: not any(is_alive(worker) for worker in workers))

    _, url = installation.serve()
    assert ask(url, key, "{ account { name } }")["data"] == {"account": {"name": "acme"}}


def test_a_worker_that_dies_is_followed_by_another(installation: Installation) -> None:
    server, _ = installation.serve()
    (worker,) = installation.children(server.pid)
    os.kill(worker, signal.SIGKILL)
    until(lambda: [pid for pid in installation.children(server.pid) if pid != worker] != [])
    server.terminate()
    server.communicate()
    assert nobody_runs_in(installation.data_dir)


def test_a_request_that_never_ends_does_not_hold_the_server_up(installation: Installation) -> None:
    server, url = installation.serve()
    address = re.search(r"//([^:]+):(\d+)", url)
    assert address is not None
    with socket.create_connection((address[1], int(address[2]))) as slow:
        slow.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        server.terminate()
        server.communicate()
    assert server.returncode == 0


def test_a_port_in_use_is_told_before_anything_is_started(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = installation.begin("serve", RELATA_PORT=port)
        _, err = server.communicate()
    assert server.returncode == 1
    assert f"Port {port} is in use" in err
    assert "Traceback" not in err
    assert list(installation.data_dir.iterdir()) == []


def test_a_signal_before_it_is_ready_ends_it_too(installation: Installation) -> None:
    server = installation.begin("serve")
    until(lambda: (installation.data_dir / "warden.lock").exists())
    server.terminate()
    _, err = server.communicate()
    assert "Traceback" not in err
    assert server.returncode in (0, 130)
    until(lambda: nobody_runs_in(installation.data_dir))


def test_the_first_start_makes_demo_data_and_later_ones_show_the_same_key(installation: Installation) -> None:
    keys = []
    for _ in range(2):
        server, url = installation.serve("--demo")
        keys.append((installation.data_dir / "demo-key").read_text().strip())
        answer = ask(url, keys[-1], '{ records(objectType: "contacts", first: 3) { nodes { displayName } } }')
        assert len(answer["data"]["records"]["nodes"]) == 3
        server.terminate()
        assert server.stdout is not None
        assert f"Bearer {keys[-1]}" in server.stdout.read()
        server.communicate()
    assert keys[0] == keys[1]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
