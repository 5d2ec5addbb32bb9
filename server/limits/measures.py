"""How large an argument is: all that its cost depends on, whatever its values are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a list, an object or a text.

    `items` are the elements of the list, or of the longest one in an object; `elements` those of all lists in it,
    however deep; `leaves` the conditions in it. `plain` holds for orders that are the default one.
    """

    items: int = 1
    elements: int = 0
    leaves: int = 0
    plain: bool = False


# A number, a truth value, nothing, or the size of something.
Measure = int | bool | None | Size

ONE = Size()
# Beyond it, a number with a fraction is no whole number any more; and no size either.
EXACT = 2**53
# Members that are conditions of a filter.
LEAVES = ("property", "associated")


def measure(value: Any) -> Measure:
    """The measure of a value as it came in."""
    match value:
        case None | bool() | int():
            return value
        case float() if value.is_integer() and abs(value) < EXACT:
            return int(value)
        case list() | dict():
            elements, leaves = _counted(value)
            return Size(_items(value), elements, leaves, _plain(value))
        case _:
            return ONE


def _counted(value: Any) -> tuple[int, int]:
    """Elements and conditions. One loop: a batch has tens of thousands of values, and each is looked at."""
    elements = leaves = 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if type(part) is list:
            elements += len(part)
            inner = part
        else:
            leaves += sum([part.get(name) is not None for name in LEAVES])
            inner = part.values()
        waiting += [each for each in inner if type(each) is dict or type(each) is list]
    return elements, leaves


def _items(value: Any) -> int:
    if type(value) is list:
        return len(value)
    return max([1, *(_items(part) for part in value.values() if isinstance(part, list | dict))])


def _plain(value: Any) -> bool:
    if type(value) is list:
        return not value or _plain(value[0])
    return type(value) is dict and value.get("field") == "ID"


def measure_node(node: ValueNode, variables: Mapping[str, Measure]) -> Measure:
    """The measure of a value as it is written; variables by name, with their measures."""
    match node:
        case VariableNode():
            return variables.get(node.name.value)
        case NullValueNode():
            return None
        case BooleanValueNode(value=value):
            return value
        case IntValueNode(value=text):
            return int(text) if len(text) < 20 else ONE
        case ListValueNode(values=parts):
            return _of_list([measure_node(part, variables) for part in parts])
        case ObjectValueNode(fields=fields):
            words = {
                field.name.value: field.value.value
                for field in fields
                if isinstance(field.value, EnumValueNode | StringValueNode)
            }
            return _of_object(
                {field.name.value: measure_node(field.value, variables) for field in fields}, words.get
            )
        case _:
            return ONE


def _of_list(parts: list[Measure]) -> Size:
    inner = [part for part in parts if isinstance(part, Size)]
    return Size(
        len(parts),
        len(parts) + sum(part.elements for part in inner),
        sum(part.leaves for part in inner),
        # An order ends with the first id.
        not parts or (isinstance(parts[0], Size) and parts[0].plain),
    )


def _of_object(parts: dict[str, Measure], word: Callable[[str], Any]) -> Size:
    inner = [part for part in parts.values() if isinstance(part, Size)]
    return Size(
        max([1, *(part.items for part in inner)]),
        sum(part.elements for part in inner),
        sum(part.leaves for part in inner) + sum(parts.get(name) is not None for name in LEAVES),
        word("field") == "ID",
    )
