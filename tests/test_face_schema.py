"""The schema: committed as it is printed, described to the last argument, readable by other tools."""

from pathlib import Path

from graphql import build_schema

from schema.documentation import undocumented
from schema.root import SCHEMA, SDL


def test_the_committed_sdl_is_what_the_code_says() -> None:
    committed = Path(__file__).parent.parent / "schema.graphql"
    assert committed.read_text(encoding="utf-8") == SDL, "run: relata schema > schema.graphql"


def test_everything_has_a_description() -> None:
    assert undocumented(SCHEMA) == []


def test_the_sdl_can_be_read_by_others() -> None:
    read = build_schema(SDL)
    assert read.query_type is not None
    assert set(read.type_map) >= {name for name in SCHEMA.type_map if not name.startswith("__")}
