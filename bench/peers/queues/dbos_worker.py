"""The steps as a DBOS workflow, one process. Arguments: URL, what to do.

`install` makes its tables. `put` reads a line of JSON (account, enrollments, labels), puts one workflow each into the
queue, and ends. `work` works on them until it is told to stop: a queue without limits, which starts whatever is there,
and as many threads as it has connections.
"""

import json
import re
import signal
import sys
import threading
from typing import Any

import psycopg  # type: ignore[import-not-found, unused-ignore]
from dbos import DBOS, DBOSClient  # type: ignore[import-not-found]
from steps import STEPS  # type: ignore[import-not-found]

QUEUE = "enrollments"
# As many as it has connections; with more of them it is slower.
THREADS = 20
_of_thread = threading.local()


def _run(step: str, *given: Any) -> None:
    """One statement, prepared, on the thread's own connection."""
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=1)
    named = {f"p{n}": value for n, value in enumerate(given, start=1)}
    _of_thread.connection.execute(_STATEMENTS[step], named)


_STATEMENTS = {step: re.sub(r"\$(\d)", r"%(p\1)s", statement) for step, statement in STEPS.items()}


@DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
def branch(account: int, enrollment: int) -> None:
    """The first step."""
    _run("branch", account, enrollment)


@DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
def put_value(account: int, enrollment: int) -> None:
    """The second step."""
    _run("set", account, enrollment)


@DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
def label(account: int, enrollment: int, *labels: int) -> None:
    """The third step."""
    _run("label", account, enrollment, *labels)


@DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
def enrolled(account: int, enrollment: int, labels: list[int]) -> None:
    """What becomes of one enrollment."""
    branch(account, enrollment)
    put_value(account, enrollment)
    label(account, enrollment, *labels)


def main() -> None:
    """Do what is asked."""
    url, what = sys.argv[1:3]
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "ERROR",
            "application_version": "1",
            "max_executor_threads": THREADS,
        }
    )
    if what == "put":
        given = json.loads(sys.stdin.read())
        client = DBOSClient(system_database_url=url)
        options = {"queue_name": QUEUE, "workflow_name": enrolled.__qualname__, "app_version": "1"}
        for one in given["enrollments"]:
            client.enqueue(options, given["account"], one, given["labels"])
        return
    DBOS.launch()
    if what == "install":
        DBOS.destroy()
        return
    DBOS.register_queue(QUEUE, polling_interval_sec=0.1)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    ending.wait()
    DBOS.destroy()


if __name__ == "__main__":
    main()
