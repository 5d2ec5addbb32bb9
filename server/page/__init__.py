"""What a browser sees at /graphql: GraphiQL with examples that work on the demo data, and nothing from elsewhere.

GraphiQL and React come from the wheel `graphene-django-graphiql-static`, of which only browser files are read
(docs/decisions/0011-graphiql-offline.md says why that one). Files are addressed by what is in them, so browsers
keep them for good.
"""

import gzip
import hashlib
import importlib.util
import mimetypes
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

HERE = Path(__file__).parent
WHEEL = "graphene_django_graphiql_static"
OURS = ("page.css", "page.js")
THEIRS = ("graphiql.min.css", "react.production.min.js", "react-dom.production.min.js", "graphiql.min.js")

# Only our own files run, and only we are talked to. GraphiQL's dialogs bring a style element of their own,
# so styles cannot be as strict; its fonts are in its style sheet.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "font-src data:",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PLAIN = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class Example:
    """An operation that works on the demo data with one click.

    `needs` is a query: the first text value in each of its fields becomes the variable of the field's alias. `offers`
    names the example that makes something happen while this one listens.
    """

    name: str
    title: str
    about: str
    needs: str | None
    offers: str | None
    query: str


@cache
def examples() -> tuple[Example, ...]:
    """All examples, in the order of their file names."""
    return tuple(read_example(path) for path in sorted((HERE / "queries").glob("*.graphql")))


def read_example(path: Path) -> Example:
    """An example from its file: `# title`, `# about` lines, then `# needs:` and `# offers:` if any, then the query."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line[1:].strip() for line in lines if line.startswith("#")]
    told = dict(line.split(": ", 1) for line in head if line.startswith(("needs: ", "offers: ")))
    words = [line for line in head if not line.startswith(("needs: ", "offers: "))]
    query = "\n".join(line for line in lines if not line.startswith("#")).strip() + "\n"
    name = re.sub(r"^\d+-", "", path.stem)
    return Example(name, words[0], " ".join(words[1:]), told.get("needs"), told.get("offers"), query)


@cache
def files() -> dict[str, bytes]:
    """The page's files by name; empty where the wheel is not installed."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return {}
    theirs = Path(spec.submodule_search_locations[0]) / "static" / WHEEL
    found = {name: theirs / name for name in THEIRS} | {name: HERE / name for name in OURS}
    if not all(path.is_file() for path in found.values()):
        return {}
    return {name: path.read_bytes() for name, path in found.items()}


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(files()[name], 6, mtime=0)


def address(name: str) -> str:
    """Where a file is served: its hash is part of the path."""
    return f"/graphql/assets/{hashlib.sha256(files()[name]).hexdigest()[:16]}/{name}"


@cache
def page() -> str:
    """The page's HTML."""
    if not files():
        return (HERE / "absent.html").read_text(encoding="utf-8")
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for name in (*OURS, *THEIRS):
        html = html.replace(f"{{{{{name}}}}}", address(name))
    told = orjson.dumps([asdict(example) for example in examples()]).decode()
    # Inside a script element only this sequence could end it.
    return html.replace("{{examples}}", told.replace("</", "<\\/"))


def show() -> Response:
    """The page as a response."""
    headers = {"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}
    return HTMLResponse(page(), headers=headers | {"Vary": "Accept"} | PLAIN)


async def asset(request: Request) -> Response:
    """One file of the page; kept by browsers for good, since another content has another address."""
    name = request.path_params["name"]
    if name not in files() or request.url.path != address(name):
        return PlainTextResponse("There is no such file.", 404, headers=PLAIN)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"} | PLAIN
    content = files()[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = _packed(name)
        headers["Content-Encoding"] = "gzip"
    media = mimetypes.types_map[Path(name).suffix]
    return Response(content, media_type=media, headers=headers)
