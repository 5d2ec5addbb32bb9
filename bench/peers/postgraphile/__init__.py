"""PostGraphile 5 over views on the benchmark's graph."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

from storage.database import connect

HERE = Path(__file__).parent
FILES = ("package.json", "graphile.config.mjs")


def command(
    folder: Path, url: str, known: dict[str, Any], port: int, pool: int
) -> tuple[list[str], dict[str, str]]:
    """Fetch it where it is not there yet, make its views; the command that serves it, and its environment."""
    home = folder / "postgraphile"
    home.mkdir(exist_ok=True)
    for name in FILES:
        (home / name).write_text((HERE / name).read_text())
    if not (home / "node_modules/postgraphile").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=home, check=True)
    asyncio.run(_views(url, known))
    node = home / "node_modules/node/bin/node"
    cli = home / "node_modules/postgraphile/dist/cli-run.js"
    return [str(node), str(cli), "-C", str(home / "graphile.config.mjs")], {
        "BENCH_DATABASE_URL": url,
        "BENCH_PORT": str(port),
        "BENCH_POOL": str(pool),
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "PATH": f"{node.parent}:{os.environ['PATH']}",
    }


async def _views(url: str, known: dict[str, Any]) -> None:
    """The tables that PostGraphile sees."""
    text = (HERE / "views.sql").read_text()
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", str(value))
    async with connect(url, size=1) as db:
        await db.pool.execute(text)
