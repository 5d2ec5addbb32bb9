"""The page at /dashboard: what happens in an account, as it happens; nothing from elsewhere.

Scripts and styles are our own (plain modules, no build); d3, which draws, comes from the wheel `gravis`, of which only
this browser file and its licence are read (docs/decisions/0021-dashboard.md says why). Files are addressed by what is
in them, so browsers keep them for good.
"""

import gzip
import hashlib
import importlib.util
import mimetypes
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from server.page import PLAIN

HERE = Path(__file__).parent
WHEEL = "gravis"
D3 = "d3.js"
D3_IN_WHEEL = Path("_internal") / "plotting" / "third_party" / "d3" / "d3.v7.min.def.js"
# Another file under this name is none that we have looked into: it is not served.
D3_HASH = "3659989c4e97794f43ea723057f5f96702bdbeffd6b244dbbd436b286431d149"
D3_LICENCE = "d3.LICENCE.txt"
D3_LICENCE_IN_WHEEL = D3_IN_WHEEL.with_name("ORIGINAL_LICENSE")

# Only our own files run, and only we are talked to; no style or script stands in the page itself.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@cache
def ours() -> dict[str, bytes]:
    """Our scripts and styles by name. They import each other, so they share one address: the hash of all."""
    found = sorted(path for path in HERE.iterdir() if path.suffix in (".js", ".css"))
    return {path.name: path.read_bytes() for path in found}


@cache
def theirs() -> dict[str, bytes]:
    """d3 and its licence by name; empty where the wheel is not installed, or holds another d3."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return {}
    root = Path(spec.submodule_search_locations[0])
    paths = {D3: root / D3_IN_WHEEL, D3_LICENCE: root / D3_LICENCE_IN_WHEEL}
    if not all(path.is_file() for path in paths.values()):
        return {}
    files = {name: path.read_bytes() for name, path in paths.items()}
    return files if hashlib.sha256(files[D3]).hexdigest() == D3_HASH else {}


@cache
def _ours_hash() -> str:
    together = hashlib.sha256()
    for name, content in ours().items():
        together.update(f"{name} {len(content)}\n".encode() + content)
    return together.hexdigest()[:16]


def address(name: str) -> str:
    """Where a file is served: a hash is part of the path."""
    known = _ours_hash() if name in ours() else hashlib.sha256(theirs()[name]).hexdigest()[:16]
    return f"/dashboard/assets/{known}/{name}"


@cache
def page() -> str:
    """The page's HTML."""
    if not theirs():
        return (HERE / "absent.html").read_text(encoding="utf-8")
    html = (HERE / "dashboard.html").read_text(encoding="utf-8")
    modules = [name for name in ours() if name.endswith(".js") and name != "amd.js"]
    # Modules name each other from within: told beforehand, they are fetched at once.
    ahead = "\n    ".join(f'<link rel="modulepreload" href="{address(name)}">' for name in modules)
    html = html.replace("{{modules}}", ahead)
    for name in (*ours(), *theirs()):
        html = html.replace(f"{{{{{name}}}}}", address(name))
    return html


async def show(_request: Request) -> Response:
    """The page as a response."""
    headers = {"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}
    return HTMLResponse(page(), headers=headers | PLAIN)


@cache
def _packed(name: str) -> bytes:
    return gzip.compress((ours() | theirs())[name], 6, mtime=0)


async def asset(request: Request) -> Response:
    """One file of the page; kept by browsers for good, since another content has another address."""
    name = request.path_params["name"]
    files = ours() | theirs()
    if name not in files or request.url.path != address(name):
        return PlainTextResponse("There is no such file.", 404, headers=PLAIN)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"} | PLAIN
    content = files[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = _packed(name)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=MEDIA[Path(name).suffix], headers=headers)


MEDIA = {suffix: mimetypes.types_map[suffix] for suffix in (".css", ".txt")} | {".js": "text/javascript"}
ROUTES = [Route("/dashboard", show), Route("/dashboard/assets/{hash}/{name}", asset)]
