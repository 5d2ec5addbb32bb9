"""A plain dlt pipeline over the same rows, in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Fetched on demand: none of them is a dependency of the product.
PACKAGES = (
    "dlt[postgres,sql_database]==1.31.0",
    "sqlalchemy==2.1.9",
    "psycopg2-binary==2.9.13",
    "pyarrow==26.0.1",
)


@dataclass(frozen=True, slots=True)
class Dlt:
    """`python` is its own, `folder` where its pipelines keep what they know."""

    python: Path
    folder: Path

    @classmethod
    def fetched(cls, folder: Path) -> "Dlt":
        """Fetch it where it is not there yet."""
        python = folder / "peers/bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / "peers")], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        return cls(python.absolute(), (folder / "pipelines").absolute())

    def run(self, source: str, destination: str, table: str, way: str) -> dict[str, Any]:
        """One run from nothing: seconds, processor seconds, rows that are there afterwards."""
        shutil.rmtree(self.folder, ignore_errors=True)
        # It asks for a host and a password by itself, though neither is used.
        urls = [url.replace("@/", ":none@localhost/", 1) for url in (source, destination)]
        command = [str(self.python), str(HERE / "pipeline.py"), *urls, table, way, str(self.folder)]
        quiet = {"RUNTIME__LOG_LEVEL": "ERROR", "RUNTIME__DLTHUB_TELEMETRY": "false"}
        self.folder.mkdir(parents=True)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **quiet},
            text=True,
            stdout=subprocess.PIPE,
            check=True,
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told
