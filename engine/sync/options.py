"""Which options of a property and a field stand for each other: as a mapping says, else those that are called alike."""

from engine.sync.likeness import folded
from engine.sync.rules import Mapping


def option_maps(mapping: Mapping) -> tuple[dict[str, str], dict[str, str]]:
    """{our option: theirs} and {their option: ours}: as the mapping says, else those that are called alike."""
    # What is archived may still be held, but is not given any more.
    ours = {option["value"]: option.get("label") or option["value"] for option in mapping.property.options}
    live = {option["value"] for option in mapping.property.options if not option.get("archived")}
    theirs = dict(mapping.field.options) or {value: value for value in ours}
    out: dict[str, str] = {}
    back: dict[str, str] = {}
    by_name = _by_name(theirs)
    for value, label in ours.items():
        chosen = mapping.options.get(value)
        if chosen is None:
            chosen = value if value in theirs else by_name.get(folded(value), by_name.get(folded(label)))
        if chosen is not None:
            out[value] = chosen
    # Of several that stand for one, the first that the mapping names comes back.
    for value in [*mapping.options, *ours]:
        if value in out and value in live:
            back.setdefault(out[value], value)
    ours_by_name = _by_name({value: label for value, label in ours.items() if value in live})
    for value, title in theirs.items():
        if value not in back:
            found = ours_by_name.get(folded(value), ours_by_name.get(folded(title)))
            # What stands for another of theirs does not stand for this one, too.
            if found is not None and found not in mapping.options:
                back[value] = found
    return out, back


def _by_name(options: dict[str, str]) -> dict[str, str]:
    """{what an option is called: its value}; values are names before titles are."""
    named: dict[str, str] = {}
    for value in options:
        named.setdefault(folded(value), value)
    for value, title in options.items():
        named.setdefault(folded(title), value)
    return named
