"""Which items can be kept: their ids are keys of ours, so they have to be text, and not without end. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.sync.connectors.protocol import Item

# More does not go into an index.
LONGEST = 2_000


def keepable(items: Iterable[Item]) -> list[Item]:
    """The items that can be kept, each without what of it cannot: one of thousands keeps nobody from the others.

    Of fields nothing is said here: what does not fit a property fails for its record alone.
    """
    return [plain(item) for item in items if item.external_id and _fits(item.external_id)]


def plain(item: Item) -> Item:
    """An item without what of it cannot be kept, besides its id."""
    version = item.version if item.version is None or _fits(item.version) else None
    url = item.url if item.url is None or _fits(item.url) else None
    ends = item.associations
    if not all(_fits(one) for some in ends.values() for one in some):
        ends = _fitting(ends)
    if version is item.version and url is item.url and ends is item.associations:
        return item
    return replace(item, version=version, url=url, associations=ends)


def _fits(text: str) -> bool:
    if "\x00" in text or len(text) > LONGEST:
        return False
    if text.isascii():
        return True
    try:
        return len(text.encode()) <= LONGEST
    except UnicodeEncodeError:
        # Half a character.
        return False


def _fitting(ends: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {role: tuple(one for one in some if _fits(one)) for role, some in ends.items()}
