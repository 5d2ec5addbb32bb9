"""A worker that runs by itself has an address for operators: it lives, it is ready, and what it has done."""

import re
import subprocess
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.processes import PATIENCE, until
from tests.test_serve import Installation, ask, installation

__all__ = ["installation"]  # the fixture

CREATE = """mutation { createRecords(input: {objectType: "contacts", records: [{properties: {email: "a@b.example"}}]}) {
  userErrors { code } } }"""
FIGURES = re.compile(r"figures are told.*?(http://127\.0\.0\.1:\d+)/metrics")


def address_of(worker: subprocess.Popen[str]) -> str:
    """Where a worker says that it tells its figures."""
    assert worker.stderr is not None
    said = []
    for line in worker.stderr:
        said.append(line)
        if found := FIGURES.search(line):
            return found[1]
    raise AssertionError("".join(said))


def got(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def figures(url: str) -> dict[tuple[str, str], float]:
    """Each figure by its name and its duty."""
    status, text = got(f"{url}/metrics")
    assert status == 200
    return {
        (sample.name, sample.labels.get("duty", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_tells_how_it_is_and_what_it_has_done(installation: Installation) -> None:
    _, api = installation.serve(RELATA_WORKERS="0")
    key = installation.key()
    worker = installation.begin("work", "--metrics-port", "0")
    url = address_of(worker)
    assert [got(f"{url}{path}")[0] for path in ("/healthz", "/graphql", "/")] == [200, 404, 404]
    # Either looks at the database for a moment only: once it answers in time, it is there.
    until(lambda: got(f"{url}/readyz")[0] == 200)
    until(lambda: figures(url)["relata_database_up", ""] == 1)
    assert ask(api, key, CREATE)["data"]["createRecords"]["userErrors"] == []
    until(lambda: figures(url).get(("relata_work_seconds_count", "evaluate"), 0) >= 1)
    assert ("relata_work_failures_total", "evaluate") not in figures(url)

    taken = installation.begin("work", RELATA_METRICS_PORT=url.rpartition(":")[2])
    _, err = taken.communicate()
    assert taken.returncode == 1
    assert "choose another with RELATA_METRICS_PORT" in err

    worker.terminate()
    assert worker.wait(timeout=PATIENCE) == 0


def test_workers_beside_the_api_do_not_quarrel_about_the_port(installation: Installation) -> None:
    first, _ = installation.serve(RELATA_WORKERS="0")
    worker = installation.begin("work", "--metrics-port", "0")
    port = address_of(worker).rpartition(":")[2]
    worker.terminate()
    worker.wait(timeout=PATIENCE)
    first.terminate()
    first.wait(timeout=PATIENCE)
    server, api = installation.serve(RELATA_WORKERS="2", RELATA_METRICS_PORT=port)
    key = installation.key()
    assert ask(api, key, "{ account { name } }")["data"] == {"account": {"name": "acme"}}
    server.terminate()
    _, err = server.communicate()
    assert "a worker ended" not in err
