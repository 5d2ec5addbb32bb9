"""Where people say that they want no more mails: `/unsubscribe/{token}`, a page with a button, and what that does.

Opening the page changes nothing, since those who look into mails for viruses open every link. The button is a POST,
and so is what mail programs send by themselves (RFC 8058): what it holds is of no account.
"""

from collections.abc import Callable
from datetime import datetime
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from engine.outbox import unsubscribing
from engine.outbox.unsubscribing import Leaving
from engine.signing import Signer
from resolvers.unsubscribing import leave
from server.doors import answering
from server.http import PLAIN
from storage.database import Database

HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    **PLAIN,
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem }}
button {{ font: inherit; padding: .4rem 1.2rem }}
</style>
<main><h1>{title}</h1>{content}</main>
"""
_BUTTON = '<p>You will get no more of these mails.</p><form method="post"><button>Unsubscribe</button></form>'


def routes(db: Database, signer: Signer, *, now: Callable[[], datetime], seconds: float) -> list[Route]:
    """The page and its button; each request may take so many `seconds`."""
    door = _Door(db, signer, now)
    path = f"{unsubscribing.PATH}/{{token}}"
    return [
        Route(path, answering(door.show, seconds), methods=["GET"]),
        Route(path, answering(door.leave, seconds), methods=["POST"]),
    ]


class _Door:
    def __init__(self, db: Database, signer: Signer, now: Callable[[], datetime]) -> None:
        self._db = db
        self._signer = signer
        self._now = now

    async def show(self, request: Request) -> Response:
        if self._leaving(request) is None:
            return _unknown()
        return _page("Unsubscribe", _BUTTON)

    async def leave(self, request: Request) -> Response:
        leaving = self._leaving(request)
        if leaving is None:
            return _unknown()
        await leave(self._db, leaving, now=self._now())
        return _page("You are unsubscribed", "<p>You will get no more of these mails.</p>")

    def _leaving(self, request: Request) -> Leaving | None:
        return unsubscribing.read(self._signer, request.path_params["token"])


def _unknown() -> Response:
    content = "<p>Open it as it stands in the mail: a part of it may be missing.</p>"
    return _page("This link is not known", content, 404)


def _page(title: str, content: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=escape(title), content=content), status, HEADERS)
