"""Templates: they name values and choose between words, and can do nothing else, whatever is written into them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import templates
from engine.filters.problems import UnknownLabel, UnknownProperty
from engine.problems import UnknownObjectType
from engine.templates import MalformedTemplate, Reference, TemplateTooLong, parse, values_for
from engine.templates.words import Choice, Moment
from storage.database import Database
from tests.flows import Flows, flows
from tests.statements import counted


def told(text: str, *, html: bool = False, **values: Any) -> str:
    """The text with these values of the record itself."""
    return parse(text, html=html).render({Reference(name): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hi {{ firstname }}!", {"firstname": "Ann"}, "Hi Ann!"),
        ("Hi {{ record.firstname }}!", {"firstname": "Ann"}, "Hi Ann!"),
        ("Hi {{ firstname }}!", {}, "Hi !"),
        ('Hi {{ firstname | default("there") }}!', {}, "Hi there!"),
        ('Hi {{ firstname | default("there") }}!', {"firstname": " "}, "Hi there!"),
        ("{{ a | default(b) }}", {"b": "B"}, "B"),
        ("{{ a | default(0) }}", {"a": 0}, "0"),
        ("{{ a | upper }} {{ a | lower }} {{ a | title }}", {"a": "ann LEE"}, "ANN LEE ann lee Ann Lee"),
        ("[{{ a | trim | capitalize }}]", {"a": "  ann LEE "}, "[Ann LEE]"),
        ('{{ a | date("%d.%m.%Y") }}', {"a": "2026-01-31"}, "31.01.2026"),
        (
            '{{ a | date("%A, %B %j %Y at %I:%M %p") }}',
            {"a": "2026-01-31T21:05:00.000Z"},
            "Saturday, January 31 2026 at 09:05 PM",
        ),
        ("{{ a | date }}", {"a": "2026-01-31T21:05:00.000Z"}, "2026-01-31"),
        ('{{ a | date("100%%") }}', {"a": "2026-01-31"}, "100%"),
        ("{{ a | date }}", {"a": "soon"}, "soon"),
        ("{{ a | number }} {{ a | number(2) }}", {"a": 1234567.5}, "1,234,567.5 1,234,567.50"),
        ('{{ a | number(1, ".", ",") }}', {"a": -1234.56}, "-1.234,6"),
        ("{{ a | number(20) }}", {"a": 2**53 - 1}, "9,007,199,254,740,991.00000000000000000000"),
        ("{{ a }} {{ b }} {{ c }}", {"a": 1e15, "b": True, "c": ["x", "y"]}, "1000000000000000 yes x, y"),
        ("{% if a %}A{% elif b %}B{% else %}C{% endif %}", {"b": 1}, "B"),
        ("{{ 'big' if amount > 1000 else 'small' }}", {"amount": 1001}, "big"),
        ("{{ 'big' if amount > 1000 else 'small' }}", {}, "small"),
        ("{{ 'big' if amount > 1000 else 'small' }}", {"amount": "many"}, "small"),
        ("{{ 'low' if amount >= -5 }}", {"amount": -6}, ""),
        ("{% if a == 'x' and not b or c != 1 %}yes{% endif %}", {"a": "x", "c": 1}, "yes"),
        ("{# nobody reads this #}{% raw %}{{ a }}{% endraw %}\n", {}, "{{ a }}\n"),
        (
            "{{ class }} {{ loop }} {{ self }} {{ record.if }}",
            {"class": 1, "loop": 2, "self": 3, "if": 4},
            "1 2 3 4",
        ),
    ],
)
def test_a_template_reads(text: str, values: dict[str, Any], expected: str) -> None:
    assert told(text, **values) == expected


def test_an_option_compares_as_it_is_kept_and_reads_as_it_is_labelled() -> None:
    stage = Choice("customer", "A customer")
    text = "{{ stage }} {{ stage | upper }} {% if stage == 'customer' %}yes{% endif %}"
    assert told(text, stage=stage) == "A customer A CUSTOMER yes"
    assert told("{{ stages }}", stages=[stage, Choice("lead", "A lead")]) == "A customer, A lead"


def test_a_moment_is_told_in_the_account_s_zone() -> None:
    at = Moment("2026-07-31T22:30:00.000Z", "Europe/Berlin")
    assert told('{{ at | date("%d.%m. %H:%M") }}', at=at) == "01.08. 00:30"


def test_in_html_every_value_is_escaped_and_the_template_itself_is_not() -> None:
    text = '<p title="{{ a }}">{{ a | upper }} {{ b | default("<i>") }}</p>'
    assert told(text, html=True, a='"><script>') == (
        '<p title="&#34;&gt;&lt;script&gt;">&#34;&gt;&lt;SCRIPT&gt; &lt;i&gt;</p>'
    )
    assert told(text, a="<b>") == '<p title="<b>"><B> <i></p>'


def test_a_template_says_what_it_needs_and_where() -> None:
    template = parse(
        "{{ a }}\n{{ companies.name }}{{ record.a }}\n{% if companies.primary.city == b %}{% endif %}"
    )
    assert template.references == {
        Reference("a"): 1,
        Reference("name", "companies"): 2,
        Reference("city", "companies", "primary"): 3,
        Reference("b"): 3,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ x", 1),
        ("a\nb\n{% for a in b %}{% endfor %}", 3),
        *((text, 1) for text in ("{{ a() }}", "{{ a.b() }}", "{{ range(5) }}", "{{ a['b'] }}", "{{ a[0] }}")),
        *((text, 1) for text in ("{{ ''.__class__ }}", "{{ (a).b }}{{ 'x'.upper }}", "{{ a.b.c.d }}")),
        *(
            (text, 1)
            for text in (
                "{{ a | attr('x') }}",
                "{{ a | map('upper') }}",
                "{{ a | safe }}",
                "{{ a is defined }}",
            )
        ),
        *(
            (text, 1)
            for text in ("{{ a ~ b }}", "{{ a * 9 }}", "{{ a + b }}", "{{ 9 ** 9 ** 9 }}", "{{ -a }}")
        ),
        *(
            (text, 1)
            for text in ("{{ [1] }}", "{{ {'a': 1} }}", "{{ (1, 2) }}", "{{ a < b < c }}", "{{ a in b }}")
        ),
        *(
            (text, 1)
            for text in ("{% set a = 1 %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}")
        ),
        *(
            (text, 1)
            for text in ("{% block x %}{% endblock %}", "{% macro x() %}{% endmacro %}", "{% trans %}")
        ),
        *(
            (text, 1)
            for text in (
                "{% filter upper %}x{% endfilter %}",
                "{% autoescape false %}{{ a }}{% endautoescape %}",
            )
        ),
        *(
            (text, 1)
            for text in ("{% with a = 1 %}{% endwith %}", "{% call a() %}{% endcall %}", "{% do a %}")
        ),
        *(
            (text, 1)
            for text in ("{{ a | default(1, 2) }}", "{{ a | default(x=1) }}", "{{ a | default(*b) }}")
        ),
        *((text, 1) for text in ("{{ a | number(99) }}", "{{ a | number(b) }}", "{{ a | number(True) }}")),
        *((text, 1) for text in ("{{ a | date('%Q') }}", "{{ a | date('%') }}", "{{ a | date(b) }}")),
        ("{{ " + "9" * 5_000 + " }}", 1),
        ("{{ " + "(" * 5_000 + " }}", 1),
        ("{{ " + "not " * 5_000 + "a }}", 1),
        ("{{ a" + " | upper" * 500 + " }}", 1),
        ("{% if a %}" * 60 + "{% endif %}" * 60, 1),
        ("{{ a }}" * 3_000, 1),
        ("x" * 70_000, 1),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(MalformedTemplate) as refused:
        parse(text)
    assert refused.value.details["line"] == line


PIECES = st.sampled_from(
    [
        *(
            "{{ ",
            " }}",
            "{% ",
            " %}",
            "{# ",
            " #}",
            "if ",
            "endif",
            "else",
            "elif ",
            "for ",
            " in ",
            "raw",
            "endraw",
        ),
        *(
            "a",
            "record",
            ".",
            "companies",
            "primary",
            "_",
            "__class__",
            "|",
            "default",
            "upper",
            "number",
            "date",
        ),
        *(
            "(",
            ")",
            "[",
            "]",
            "'",
            '"',
            "x",
            "1",
            "1e400",
            "-",
            "~",
            "*",
            "==",
            "<",
            " and ",
            " not ",
            ",",
            "%",
            "\n",
        ),
        *("true", "none", "self", "loop", "is ", "set ", "block ", "\\", "\x00", "é", "{", "}"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=100), VALUES, st.booleans())
def test_whatever_is_written_it_reads_or_is_refused(text: str, value: Any, html: bool) -> None:
    try:
        template = parse(text, html=html)
    except MalformedTemplate:
        return
    rendered = template.render(dict.fromkeys(template.references, value))
    assert isinstance(rendered, str)


@given(
    VALUES,
    st.sampled_from(["default('x')", "upper", "lower", "title", "capitalize", "trim", "date", "number(3)"]),
)
def test_every_filter_takes_every_value(value: Any, name: str) -> None:
    assert isinstance(told(f"{{{{ a | {name} }}}}", a=value), str)


def test_a_text_that_grows_beyond_measure_is_cut_short_with_a_problem() -> None:
    with pytest.raises(TemplateTooLong):
        told("{{ a }}" * 400, a="x" * 65_536)


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def test_what_is_missing_is_named(crm: Flows) -> None:
    catalogue = await crm.db.catalogue(crm.account)
    contacts = catalogue.by_name["contacts"]
    text = (
        "{{ firstname }}{{ first }}{{ companies.name }}{{ companies.nam }}"
        "{{ planets.name }}{{ companies.boss.name }}"
    )
    problems = templates.check(parse(text).references, contacts, catalogue)
    assert [
        (type(one), one.details.get("property") or one.details.get("name") or one.details["label"])
        for one in problems
    ] == [
        (UnknownProperty, "first"),
        (UnknownProperty, "nam"),
        (UnknownObjectType, "planets"),
        (UnknownLabel, "boss"),
    ]
    assert templates.check(parse("{{ companies.primary.name }}").references, contacts, catalogue) == []


async def test_values_are_those_of_the_record_and_of_the_neighbour_that_was_updated_last(crm: Flows) -> None:
    ann, bob, gone = await crm.create("contacts", {"firstname": "Ann"}, {"firstname": "Bob"}, {})
    acme, zeta, old = await crm.create("companies", {"name": "Acme"}, {"name": "Zeta"}, {"name": "Old"})
    await crm.associate((ann, acme), (ann, zeta), (ann, old))
    await crm.associate((ann, acme, "primary"))
    await crm.set(acme, city="Boston")
    await crm.set(zeta, city="Paris")
    await crm.set(old, city="Rome")
    await crm.archive(old)
    template = parse(
        "{{ firstname }}: {{ companies.name }} in {{ companies.city }}, {{ companies.primary.name }}, "
        "{{ deals.amount }}."
    )
    async with crm.writing() as tx:
        with counted() as statements:
            values = await values_for(tx, template.references, [bob, ann, gone, 10**15])
    assert len(statements) == 2
    assert template.render(values[ann]) == "Ann: Zeta in Paris, Acme, ."
    assert template.render(values[bob]) == "Bob:  in , , ."
    assert values[gone] == values[10**15] == {}


async def test_what_was_archived_since_reads_as_nothing(crm: Flows) -> None:
    ann = await crm.one("contacts", firstname="Ann")
    template = parse("{{ firstname }}{{ nothing }}{{ planets.name }}{{ companies.boss.name }}")
    async with crm.writing() as tx:
        assert template.render((await values_for(tx, template.references, [ann]))[ann]) == "Ann"
