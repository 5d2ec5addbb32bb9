"""Documents for readers: every GraphQL example in them is valid, every link and every file named leads somewhere."""

import importlib
import json
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
# In a line for a shell: the body of a request.
REQUEST = re.compile(r"""^.*-d '({"query": .*})'$""", re.MULTILINE)
# A file, a folder or a name in a module, as `storage/wake.py`, `engine/uses/` and `storage/due.fairly`.
PLACE = re.compile(r"`((?:server|schema|resolvers|engine|storage)/[\w/.]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def examples(text: str) -> list[str]:
    """Whole GraphQL documents of a page: those that stand alone, and those in requests."""
    found = [*BLOCK.findall(text), *(json.loads(body)["query"] for body in REQUEST.findall(text))]
    return [block for block in found if ELISION not in TEXT.sub('""', block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_are_valid_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in examples(text):
        assert validate(SCHEMA, parse(block)) == [], block
    for target in LINK.findall(text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_there_are_examples_to_be_checked() -> None:
    assert sum(len(examples(page.read_text(encoding="utf-8"))) for page in PAGES) >= 40
    assert len(REQUEST.findall((ROOT / "README.md").read_text(encoding="utf-8"))) == 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_of_the_code_is_there(page: Path) -> None:
    """A map with a street that was taken away is worse than none."""
    missing = [place for place in PLACE.findall(page.read_text(encoding="utf-8")) if not is_there(place)]
    assert missing == []


def is_there(place: str) -> bool:
    if any((ROOT / name).exists() for name in (place, f"{place}.py")):
        return True
    module, _, name = place.rpartition(".")
    if not any((ROOT / file).exists() for file in (f"{module}.py", f"{module}/__init__.py")):
        return False
    return hasattr(importlib.import_module(module.replace("/", ".")), name)
