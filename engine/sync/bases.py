"""What a link is to say that both sides agreed on, while not all of a merge is carried out. Pure."""

from collections.abc import Mapping as Map
from typing import Any

from engine.sync.merge import Half, Merged
from engine.sync.rules import Rules
from engine.sync.translate import Untranslated, translation
from storage.sync.links import LinkRow


def without(rules: Rules, merged: Merged, open_: frozenset[int], link: LinkRow) -> Merged:
    """As if fields about which a person is asked had not changed: what they hold over there is not what is known."""
    theirs, ours = dict(merged.theirs), dict(merged.ours)
    base_ours, base_theirs = dict(merged.base_ours), dict(merged.base_theirs)
    for mapping in rules.mappings:
        if mapping.id in open_:
            theirs.pop(mapping.field.name, None)
            ours.pop(mapping.property.name, None)
            _restore(base_ours, link.base_ours or {}, mapping.property.name)
            _restore(base_theirs, link.base_theirs or {}, mapping.field.name)
    return Merged(ours, theirs, base_ours, base_theirs, merged.conflicts, merged.problems)


def _restore(into: dict[str, Any], base: Map[str, Any], name: str) -> None:
    if name in base:
        into[name] = base[name]
    else:
        into.pop(name, None)


def pending(rules: Rules, merged: Merged, ours: Half, theirs: Half) -> dict[str, Any]:
    """Our base as long as `merged.theirs` is not written: as if both had held what they hold, and we had changed it.

    So it is sent whenever it is looked at, and is nothing any more once we, too, hold what they do.
    """
    base = dict(merged.base_ours)
    for mapping in rules.mappings:
        name = mapping.property.name
        if mapping.field.name not in merged.theirs:
            continue
        known = translation(mapping)
        try:
            agreed = known.to_ours(theirs.values.get(mapping.field.name))
        except Untranslated:
            agreed = (ours.base or {}).get(name)
        if known.same_ours(agreed, ours.values.get(name)):
            agreed = (ours.base or {}).get(name)
        base[name] = agreed
    return base
