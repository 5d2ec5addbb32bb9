"""Facts of a record as JSON text: values as they are stored, moments in the one form, names that people read."""

from storage.selection.sql import Text, literal, value


def property_text(name: str, record: str) -> Text:
    """The value of a property, null where there is none."""
    return value(f"({record}.properties->{literal(name)})::text")


def moment_text(expression: str, *, nullable: bool = False) -> Text:
    """A moment in UTC to the millisecond."""
    # to_char's MS cuts microseconds off; so does Python's isoformat.
    found = f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    if nullable:
        return value(f"""('"' || {found} || '"')""")
    return Text('"').put(found).say('"')


def display_name_text(alternatives: tuple[tuple[str, ...], ...], prefix: str, record: str) -> Text:
    """The first alternative with any value, its values joined by a space; else the id."""
    joined = [
        f"nullif(concat_ws(' ', {', '.join(f'{record}.properties->>{literal(name)}' for name in names)}), '')"
        for names in alternatives
    ]
    called = ", ".join([*joined, f"concat({literal(prefix)}, {record}.id)"])
    return Text().put(f"to_json(coalesce({called}))::text")
