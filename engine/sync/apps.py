"""The apps that can be connected: found by entry points, loaded when somebody asks, left out where they are broken."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from engine.sync.connectors.protocol import App
from engine.sync.problems import UnknownApp

GROUP = "relata.connectors"
_PARTS = ("name", "title", "about", "settings", "capabilities", "open")

AnyApp = TypeVar("AnyApp", bound=App)

log = logging.getLogger("relata.connectors")

# Registered for the time of a block; they go before those that are installed.
_registered: dict[str, App] = {}
# What loading an entry point came to: None, where it is broken, which is told once.
_loaded: dict[str, App | None] = {}


def names() -> list[str]:
    """The names of all apps that are there, whether or not they can be loaded."""
    return sorted({*_registered, *(point.name for point in entry_points(group=GROUP))})


def all_apps() -> list[App]:
    """All apps that work, by name."""
    return [app for name in names() if (app := _find(name)) is not None]


def get(name: str) -> App:
    """The app with this name. Raises `UnknownApp`."""
    found = _find(name)
    if found is None:
        raise UnknownApp(name=name[:100], known=[app.name for app in all_apps()])
    return found


def load(names: Iterable[str]) -> None:
    """Load these apps, as far as they are there, before somebody asks for them: it takes a while."""
    for name in names:
        _find(name)


@contextlib.contextmanager
def registered(app: AnyApp) -> Iterator[AnyApp]:
    """Let there be an app for the time of the block."""
    former = _registered.get(app.name)
    _registered[app.name] = app
    try:
        yield app
    finally:
        del _registered[app.name]
        if former is not None:
            _registered[app.name] = former


def _find(name: str) -> App | None:
    if name in _registered:
        return _registered[name]
    if name not in _loaded:
        point = next((point for point in entry_points(group=GROUP) if point.name == name), None)
        if point is None:
            return None
        _loaded[name] = _load(point)
    return _loaded[name]


def _load(point: EntryPoint) -> App | None:
    """The app behind an entry point; whatever is wrong with it is its own affair."""
    try:
        app: App = point.load()
        missing = [part for part in _PARTS if not hasattr(app, part)]
        if missing:
            raise TypeError(f"it has no {', '.join(missing)}")
        if app.name != point.name:
            raise TypeError(f'it calls itself "{app.name}"')
    except Exception as error:
        log.warning('the connector "%s" (%s) cannot be used: %r', point.name, point.value, error)
        return None
    return app
