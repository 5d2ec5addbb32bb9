"""The page at /dashboard: files by their hashes, a strict policy; in a real browser, over the death of its server."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, validate

from schema.root import SCHEMA
from server import dashboard
from server.app import create_app
from storage.database import Database
from tests.face import clients
from tests.node import CLIENTS, packages
from tests.processes import fastest_place, nobody_runs_in, until
from tests.test_clients import BROWSERS
from tests.test_serve import Installation

SHOP = Path(__file__).resolve().parents[1] / "examples/sync/shop.py"
CACHES = (dashboard.theirs, dashboard.page, dashboard._packed)


async def test_the_dashboard_names_its_files_by_what_is_in_them(db: Database) -> None:
    async with clients(create_app(db)) as http:
        shown = await http.get("/dashboard")
        assert shown.status_code == 200
        addresses = set(re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', shown.text))
        assert {
            path.rsplit("/", 1)[1] for path in addresses
        } == dashboard.ours().keys() | dashboard.theirs().keys()
        for address in addresses:
            for coding in ("gzip", "identity"):
                found = await http.get(address, headers={"Accept-Encoding": coding})
                assert found.status_code == 200
                assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
                name = address.rsplit("/", 1)[1]
                assert found.content == (dashboard.ours() | dashboard.theirs())[name]
        for wrong in ("/dashboard/assets/0000000000000000/main.js", "/dashboard/assets/0/..%2f__init__.py"):
            assert (await http.get(wrong)).status_code == 404


async def test_the_dashboard_may_run_and_ask_only_what_is_its_own(db: Database) -> None:
    async with clients(create_app(db)) as http:
        shown = await http.get("/dashboard")
    policy = dict(part.split(" ", 1) for part in shown.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    # No address of another site is in it, and no script or style that the policy would stop.
    assert re.findall(r'(?:src|href)="(?!/dashboard/|/graphql"|data:|#)[^"]*"', shown.text) == []
    assert re.findall(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=", shown.text) == []
    assert "{{" not in shown.text


async def test_without_the_wheel_or_with_another_d3_the_dashboard_says_so(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, wrong in (("WHEEL", "a_wheel_that_is_not_installed"), ("D3_HASH", "0" * 64)):
        with monkeypatch.context() as patched:
            patched.setattr(dashboard, name, wrong)
            for cached in CACHES:
                cached.cache_clear()
            async with clients(create_app(db)) as http:
                shown = await http.get("/dashboard")
                assert "pip install --no-deps gravis" in shown.text
                assert (await http.get("/dashboard/assets/0/d3.js")).status_code == 404
        for cached in CACHES:
            cached.cache_clear()


def test_packed_files_are_the_files() -> None:
    for name, content in (dashboard.ours() | dashboard.theirs()).items():
        assert gzip.decompress(dashboard._packed(name)) == content


def test_the_licence_of_what_draws_is_served_with_it() -> None:
    licence = dashboard.theirs()[dashboard.D3_LICENCE].decode()
    assert "Mike Bostock" in licence
    assert "Permission to use, copy, modify" in licence


def test_scripts_import_only_each_other() -> None:
    for name, content in dashboard.ours().items():
        for imported in re.findall(r'^import (?:.*? from )?"(.*?)";', content.decode(), re.MULTILINE):
            assert imported.removeprefix("./") in dashboard.ours(), (name, imported)


def test_whole_questions_of_the_dashboard_are_valid() -> None:
    asked = [
        found
        for content in dashboard.ours().values()
        for found in re.findall(
            r'[`"]((?:query|subscription|mutation)? ?[^`"$]*?\{[^`"$]*\})[`"]', content.decode()
        )
        if re.match(r"(query|subscription|\{ ?[a-z]+(\(| ?\{))", found)
    ]
    assert len(asked) >= 5
    for document in asked:
        assert validate(SCHEMA, parse(document)) == [], document


class Watched:
    """An installation with two servers on the same data, and the conversation with the browser's script."""

    def __init__(self, data_dir: Path) -> None:
        self.installation = Installation(data_dir, [])
        self.process, self.url = self.installation.serve("--demo")
        _, self.other = self.installation.serve()
        self.key = (data_dir / "demo-key").read_text().strip()
        shop = data_dir / "shop.db"
        self.shop = f"sqlite:///{shop}"
        script = [sys.executable, str(SHOP), "make", str(shop)]
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)

    @property
    def port(self) -> str:
        return self.url.split(":")[2].split("/")[0]

    def obey(self, please: str) -> None:
        if please in ("kill", "stop"):
            self.process.send_signal(signal.SIGKILL if please == "kill" else signal.SIGTERM)
            self.process.wait()
        else:
            self.process, url = self.installation.serve(RELATA_PORT=self.port)
            assert url == self.url

    def converse(self, browser: str) -> dict[str, Any]:
        """Run the script, doing what it asks for; what it saw."""
        told = {
            "RELATA_URL": self.url,
            "RELATA_OTHER_URL": self.other,
            "RELATA_KEY": self.key,
            "RELATA_EMPTY_KEY": self.installation.key(),
            "RELATA_SHOP": self.shop,
        }
        script = subprocess.Popen(
            ["node", "dashboard.mjs"],
            cwd=CLIENTS,
            env={**os.environ, **told, "RELATA_BROWSER": browser},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.installation.started.append(script)
        assert script.stdin is not None
        assert script.stdout is not None
        for line in script.stdout:
            said = json.loads(line)
            if "seen" in said:
                seen: dict[str, Any] = said["seen"]
                return seen
            self.obey(said["please"])
            script.stdin.write("done\n")
            script.stdin.flush()
        raise AssertionError(script.communicate()[1])


@pytest.fixture
def watched() -> Iterator[Watched]:
    data_dir = Path(tempfile.mkdtemp(prefix="relata-watched-", dir=fastest_place()))
    found = Watched(data_dir)
    yield found
    for process in found.installation.started:
        process.kill()
        process.communicate()
    until(lambda: nobody_runs_in(data_dir))
    shutil.rmtree(data_dir)


def test_the_dashboard_shows_all_that_happens_once_also_over_the_death_of_its_server(
    watched: Watched,
) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of these browsers is installed: {', '.join(BROWSERS)}")
    packages()
    seen = watched.converse(browser)

    assert "No data sync yet" in seen["withoutSyncs"]
    assert seen["sync"] == ["in, on", "4 in sync, 1 excluded"]
    assert seen["elsewhere"] == seen["complaints"] == seen["keyInAddress"] == []
    assert {name: found for name, found in seen["violations"].items() if found} == {}
    assert set(seen["violations"]) == {"key", "light", "dark", "wall", "phone", "narrow", "empty"}
    assert "opens nothing here" in seen["refused"]
    assert seen["shutWithoutKey"] is seen["askedElsewhere"] is seen["shutAfterRevoking"] is True
    assert "revoked" in seen["revoked"]
    assert seen["account"] == "demo"

    # The demo's panels are full.
    *enrollments, deliveries = map(int, seen["tiles"])
    assert all(told > 0 for told in enrollments)
    assert deliveries == 0
    assert len(seen["workflows"]) == 5
    assert len(seen["segments"]) == 7
    assert all(int(size) > 0 for size in seen["segments"])
    assert "the limit is 1" in seen["failure"]
    assert "enrolled" in seen["chart"]
    assert seen["joined"] == "+1"
    roles, terms, months = seen["reports"]
    assert re.search(r"Decision maker \d+, Former employer \d+, Billing contact \d+\.$", roles)
    assert re.search(r"Short-term \d+, Long-term \d+, \(No value\) \d+\.$", terms)
    assert months.startswith("Won and lost, month by month: sum: amount by close date and deal stage. ")
    assert "Direct traffic" in seen["reportTable"]

    # A report that is slow, and one that fails, stand in nobody's way.
    told, busy, alone = seen["counting"]
    assert "Contacts by their role" in told
    assert "Counting" in told
    assert (busy, alone) == ("true", 1)
    assert "The server did not answer" in seen["uncounted"][0]
    assert seen["uncounted"][1] == 1
    # Two at a time; each of the demo's four once, and once more when asked again.
    assert seen["counted"] == [2, 8, 0]

    # What was wrong with a file is told in words, with how often and where; of many the first few are shown.
    assert len(seen["wrong"]) == 2
    assert any("31.02.1999" in told and told.startswith("2") for told in seen["wrong"]), seen["wrong"]
    assert any("row 1" in told and "DUPLICATE_IN_FILE" in told for told in seen["wrong"]), seen["wrong"]
    assert seen["few"] == [f"Group {n}" for n in range(1, 9)]
    assert seen["all"] == [f"Group {n}" for n in range(1, 13)]

    # The graph, by keyboard and by mouse.
    assert any(
        "Person1 Watched, Contact, " in label and "Decision maker" in label for label in seen["around"]
    )
    assert any("Decision maker" in label for label in seen["edges"])
    assert seen["focused"].startswith("Person1 Watched")
    assert seen["home"].startswith("Watched Works")
    assert "Person1 Watched: 1 associated record" in seen["said"]
    assert seen["grown"] >= 1
    assert seen["unplaced"] == 0

    # System light, system dark, chosen light, chosen dark.
    light, dark, chosen_light, chosen_dark = seen["grounds"]
    assert light == chosen_light != dark == chosen_dark
    assert seen["phone"] == 360
    width, height, panels, inside, clock = seen["wall"]
    assert (width, height, panels, inside) == (1920, 1080, 6, True)
    assert re.fullmatch(r"\d\d:\d\d", clock)

    # Before, during and after: everything, in order, once.
    assert seen["whileDown"] == "Disconnected"
    assert re.match(r"As it was at \d", seen["old"])
    assert len(seen["log"]["changes"]) > seen["people"]
    assert seen["shown"] == seen["log"]
    assert all(n == 1 for shown in seen["shown"].values() for n in Counter(shown).values())
    assert seen["created"] == seen["people"]
    # Of an import its beginning and its end.
    assert len(seen["imports"]) == 2
    assert seen["count"] == sum(map(len, seen["log"].values())) + 2
    for told in (seen["check"], seen["stopped"], seen["asked"]):
        assert "none missed" in told
    caught = re.search(r"Reconnected at .*: (\d+) events caught up, none missed", seen["check"])
    assert caught is not None
    assert int(caught[1]) > 0
    assert "1 event caught up" in seen["stopped"]

    # A log that no longer holds what came meanwhile is no silence, and is told once.
    assert "after longer than the log is kept" in seen["expired"]
    assert seen["notListed"] == 0

    # Nothing of one account is ever on the page of another, and nothing was lost by changing between them.
    told = " ".join(seen["changed"])
    assert told.count("No segments yet") == 1
    for foreign in ("Decision makers", "Budget holder", "Contacts by their role", "wrong.csv", "Nordwind"):
        assert foreign not in told, told
    assert "could not be compared" not in seen["unlost"]
    assert all("It is asked again" in said for said in seen["unanswered"].values()), seen["unanswered"]

    # Who may not see a panel is told in it.
    assert all("scope" in told for told in seen["denied"].values()), seen["denied"]
