"""Reading a template: Jinja's syntax, of which only what names values, words them and chooses is let through.

What names a value is taken out of the tree and becomes a plain variable: the compiled template looks nothing up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.templates.problems import MalformedTemplate, TemplateTooLong
from engine.templates.words import COMPARISONS, FILTERS, MOST_DIGITS, date_form_fault, words

LONGEST_TEMPLATE = 65_536
LONGEST_TEXT = 1_000_000
# Names, filters and choices, all in all: what is deeper than Python can walk is refused before it is walked.
MOST_PARTS = 2_000
DEEPEST = 40
# `{{ record.firstname }}` is `{{ firstname }}`.
RECORD = "record"

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Filter,
    nodes.If,
    nodes.CondExpr,
    nodes.Not,
    nodes.And,
    nodes.Or,
)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A value that a template needs: a property of the record itself, or (`to`) of one associated with it.

    `label` is the internal name of a label; None: whatever the label.
    """

    property: str
    to: str | None = None
    label: str | None = None

    def __str__(self) -> str:
        return ".".join(part for part in (self.to, self.label, self.property) if part is not None)


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read. `references` are what it needs, each once, with the line of the first mention."""

    references: Mapping[Reference, int]
    _compiled: Compiled

    def render(self, values: Mapping[Reference, Any]) -> str:
        """The text with these values; those that are missing read as nothing. Raises `TemplateTooLong`."""
        context = {f"v{n}": values.get(reference) for n, reference in enumerate(self.references)}
        parts, length = [], 0
        for part in self._compiled.generate(context):
            parts.append(part)
            length += len(part)
            if length > LONGEST_TEXT:
                raise TemplateTooLong(limit=LONGEST_TEXT)
        return "".join(parts)


def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        autoescape=html, finalize=words, keep_trailing_newline=True, cache_size=0
    )
    made.filters = {name: function for name, (function, _) in FILTERS.items()}
    # No template can name these.
    made.filters |= {f"compare {name}": function for name, function in COMPARISONS.items()}
    made.tests = {}
    made.globals = {}
    return made


_PLAIN, _HTML = _environment(html=False), _environment(html=True)


def parse(text: str, *, html: bool = False) -> Template:
    """Read a template; in `html` all values are escaped. Raises `MalformedTemplate`."""
    if len(text) > LONGEST_TEMPLATE:
        raise MalformedTemplate(line=1, reason=f"it has more than {LONGEST_TEMPLATE} characters")
    environment = _HTML if html else _PLAIN
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise MalformedTemplate(
            line=error.lineno, reason=(error.message or "it is malformed").rstrip(".")
        ) from None
    except ValueError:
        # Python reads no number of thousands of digits.
        raise MalformedTemplate(line=1, reason="it holds a number that is too long") from None
    except RecursionError:
        raise MalformedTemplate(line=1, reason="it is nested too deeply") from None
    _bounded(tree)
    reader = _Reader()
    tree = reader.visit(tree)
    compiled = Compiled.from_code(environment, environment.compile(tree), {})
    return Template(reader.lines, compiled)


def _bounded(tree: nodes.Template) -> None:
    """Refuse what is too large, level by level."""
    level: list[nodes.Node] = [tree]
    total = 0
    for _ in range(DEEPEST):
        level = [below for node in level for below in node.iter_child_nodes()]
        total += len(level)
        if not level:
            return
        if total > MOST_PARTS:
            raise MalformedTemplate(line=level[0].lineno, reason=f"it has more than {MOST_PARTS} parts")
    raise MalformedTemplate(line=level[0].lineno, reason="it is nested too deeply")


class _Reader(NodeTransformer):
    """Puts variables in the place of names, and refuses whatever is none of the allowed."""

    def __init__(self) -> None:
        self.lines: dict[Reference, int] = {}

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Any node that is not one of those below."""
        if not isinstance(node, _ALLOWED):
            raise MalformedTemplate(line=node.lineno or 1, reason=_not_here(node))
        return super().generic_visit(node, *args, **kwargs)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        return self._named(node, (node.name,))

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        path = [node.attr]
        inner: nodes.Node = node.node
        while isinstance(inner, nodes.Getattr):
            path.append(inner.attr)
            inner = inner.node
        if not isinstance(inner, nodes.Name):
            raise MalformedTemplate(line=node.lineno, reason="only names can stand before a point")
        return self._named(node, (inner.name, *reversed(path)))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        if len(node.ops) != 1 or node.ops[0].op not in COMPARISONS:
            raise MalformedTemplate(
                line=node.lineno,
                reason="two values are compared, by == != < <= > or >=; nothing else is possible",
            )
        (operand,) = node.ops
        one, other = self.visit(node.expr), self.visit(operand.expr)
        # Python's own comparison of a number with nothing is an error.
        return nodes.Filter(one, f"compare {operand.op}", [other], [], None, None, lineno=node.lineno)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        if node.expr2 is None:
            node.expr2 = nodes.Const("", lineno=node.lineno)
        return self.generic_visit(node)

    def visit_Neg(self, node: nodes.Neg) -> nodes.Node:
        if not isinstance(node.node, nodes.Const) or not isinstance(node.node.value, int | float):
            raise MalformedTemplate(line=node.lineno, reason="a minus can stand before a number only")
        return nodes.Const(-node.node.value, lineno=node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        known = FILTERS.get(node.name)
        if known is None or node.node is None:
            told = ", ".join(FILTERS)
            raise MalformedTemplate(
                line=node.lineno, reason=f'there is no filter "{node.name}"; there are: {told}'
            )
        if (
            node.kwargs
            or node.dyn_args is not None
            or node.dyn_kwargs is not None
            or len(node.args) > known[1]
        ):
            raise MalformedTemplate(
                line=node.lineno,
                reason=f'the filter "{node.name}" takes at most {known[1]} values, without names',
            )
        fault = _argument_fault(node)
        if fault is not None:
            raise MalformedTemplate(line=node.lineno, reason=fault)
        return self.generic_visit(node)

    def _named(self, node: nodes.Expr, path: tuple[str, ...]) -> nodes.Node:
        if len(path) == 1:
            reference = Reference(path[0])
        elif len(path) == 2:
            reference = Reference(path[1], None if path[0] == RECORD else path[0])
        elif len(path) == 3 and path[0] != RECORD:
            reference = Reference(path[2], path[0], path[1])
        else:
            raise MalformedTemplate(
                line=node.lineno,
                reason=f'"{".".join(path)}" is no name; these are: property, record.property, '
                "objectType.property and objectType.label.property",
            )
        self.lines.setdefault(reference, node.lineno)
        number = list(self.lines).index(reference)
        return nodes.Name(f"v{number}", "load", lineno=node.lineno, environment=node.environment)


def _argument_fault(node: nodes.Filter) -> str | None:
    """What is wrong with what a filter is given, if anything: these must be written out, to be checked now."""
    given = [argument.value if isinstance(argument, nodes.Const) else None for argument in node.args]
    match node.name, given:
        case "date", [form]:
            return date_form_fault(form) if isinstance(form, str) else 'date takes a form such as "%d.%m.%Y"'
        case "number", [digits, *marks]:
            if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= MOST_DIGITS:
                return f"number takes digits behind the point, from 0 to {MOST_DIGITS}"
            if not all(isinstance(mark, str) and len(mark) <= 3 for mark in marks):
                return "number takes what stands between thousands, and the point, as short texts"
    return None


_WORDS = {
    nodes.For: "there are no loops",
    nodes.Call: "nothing can be called",
    nodes.Getitem: "values are named by points, not by brackets",
    nodes.Test: "there are no tests by `is`; write {% if name %}",
    nodes.Assign: "nothing can be set",
    nodes.Include: "nothing can be included",
    nodes.Import: "nothing can be imported",
}


def _not_here(node: nodes.Node) -> str:
    kind = type(node)
    return _WORDS.get(kind, f"{kind.__name__.lower()} is not possible in a template")
