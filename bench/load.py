"""An external load generator (wrk) and what it measured."""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Load:
    """What `clients` concurrent clients got in one run."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


def run(url: str, bodies: Sequence[str], headers: Mapping[str, str], *, clients: int, seconds: float) -> Load:
    """POST `bodies` in turn for `seconds` from `clients` connections. Raises `SystemExit` on any failed request."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_script(bodies, headers))
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(f"requests failed at {url}:\n{done}")
    return Load(
        float(_found(r"Requests/sec:\s+([\d.]+)", done)),
        _milliseconds(_found(r"50%\s+([\d.]+\w+)", done)),
        _milliseconds(_found(r"99%\s+([\d.]+\w+)", done)),
        int(_found(r"(\d+) requests in", done)),
    )


def _script(bodies: Sequence[str], headers: Mapping[str, str]) -> str:
    lines = ["local bodies = {"]
    lines += [f"  {json.dumps(body)}," for body in bodies]
    lines += ["}", 'wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"']
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    lines += [
        "local n = 0",
        "request = function()",
        "  n = n % #bodies + 1",
        "  return wrk.format(nil, nil, nil, bodies[n])",
        "end",
    ]
    return "\n".join(lines)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk said something else:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise SystemExit(f"wrk said {text!r}")
