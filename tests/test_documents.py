"""Documents for readers: every GraphQL example in them is valid, every link between them leads somewhere."""

import re
from pathlib import Path

import pytest
from graphql import parse, validate

from schema.root import SCHEMA

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    if "node_modules" not in path.parts
)
BLOCK = re.compile(r"^```graphql\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Outside of texts it says that something is left out: such an example is a sketch.
ELISION = "…"
TEXT = re.compile(r'"[^"\n]*"')
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def examples(text: str) -> list[str]:
    """Whole GraphQL documents of a page."""
    return [block for block in BLOCK.findall(text) if ELISION not in TEXT.sub('""', block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_are_valid_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in examples(text):
        assert validate(SCHEMA, parse(block)) == [], block
    for target in LINK.findall(text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_there_are_examples_to_be_checked() -> None:
    assert sum(len(examples(page.read_text(encoding="utf-8"))) for page in PAGES) >= 4
