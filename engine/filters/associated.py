"""Binding the associated leaf: whom it regards, how many of them, and what they must be like."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.filters.binding import Binding, include_empty, leaf_body, operator_at, text_at
from engine.filters.operators import COMPARING, Operator
from engine.filters.problems import MalformedLeaf, UnknownLabel, UnknownOperator
from engine.problems import UnknownObjectType
from engine.values import shown, tidy
from storage.catalogue import AssociationTypeRow, Catalogue, ObjectTypeRow
from storage.filters.tree import AssociatedLeaf, Comparison, Filter, Quantifier, Reach

ASSOCIATED = "associated"
KEYS = ("to", "quantifier", "labels", "where", "operator", "count", "includeEmpty")

COMPARISONS = {
    Operator.EQUALS: Comparison.EQUAL,
    Operator.NOT_EQUALS: Comparison.NOT_EQUAL,
    Operator.LESS_THAN: Comparison.LESS,
    Operator.LESS_THAN_OR_EQUAL: Comparison.LESS_OR_EQUAL,
    Operator.GREATER_THAN: Comparison.GREATER,
    Operator.GREATER_THAN_OR_EQUAL: Comparison.GREATER_OR_EQUAL,
}

# More than a record can have; beyond it a number is a mistake.
LARGEST_COUNT = 1_000_000_000


def bind_associated(
    body: Any, object_type: ObjectTypeRow, binding: Binding, nested: Callable[[Any, ObjectTypeRow], Filter]
) -> AssociatedLeaf:
    """The leaf that `body` describes, standing at records of `object_type`; `nested` binds the filter inside.

    Raises the problem of the leaf itself, at its path; `nested` notes its own.
    """
    given = leaf_body(ASSOCIATED, body, KEYS)
    name = text_at(ASSOCIATED, given, "to")
    to = binding.catalogue.by_name.get(name)
    if to is None:
        raise UnknownObjectType(name=tidy(name), path=(ASSOCIATED, "to"))
    # The nested filter's problems are told even where the leaf itself is wrong.
    where = None if given.get("where") is None else nested(given["where"], to)
    quantifier = _quantifier(given)
    comparison, count = _counting(given, quantifier)
    return AssociatedLeaf(
        _reach(given, object_type, to, binding.catalogue),
        quantifier,
        where,
        comparison,
        count,
        include_empty(given, binding.definition_of),
    )


def _quantifier(given: Mapping[str, Any]) -> Quantifier:
    name = given.get("quantifier", "ANY")
    try:
        return Quantifier(name)
    except ValueError:
        reason = f"there is no quantifier {shown(name)}; there are: {', '.join(Quantifier)}"
        raise MalformedLeaf(reason=reason, path=(ASSOCIATED, "quantifier")) from None


def _counting(given: Mapping[str, Any], quantifier: Quantifier) -> tuple[Comparison, int]:
    if quantifier is not Quantifier.COUNT:
        for key in ("operator", "count"):
            if key in given:
                raise MalformedLeaf(reason=f'"{key}" goes with the quantifier COUNT', path=(ASSOCIATED, key))
        return Comparison.EQUAL, 0
    operator = operator_at(ASSOCIATED, given, COMPARING)
    if operator not in COMPARISONS:
        raise UnknownOperator(
            operator=f"{operator} for a number of records",
            known=list(COMPARING),
            path=(ASSOCIATED, "operator"),
        )
    count = given.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LARGEST_COUNT:
        reason = f'COUNT needs "count", a whole number from 0 to {LARGEST_COUNT}, not {shown(count)}'
        raise MalformedLeaf(reason=reason, path=(ASSOCIATED, "count"))
    return COMPARISONS[operator], count


def _reach(
    given: Mapping[str, Any], object_type: ObjectTypeRow, to: ObjectTypeRow, catalogue: Catalogue
) -> Reach:
    labels = given.get("labels")
    if labels:
        types = _labels(labels, object_type, to, catalogue)
    elif labels is None or labels == []:
        # The unlabelled type stands beside every label, so it is all of them; alone it is the rest.
        types = [catalogue.unlabelled(object_type.id, to.id)]
    else:
        raise _labels_malformed(labels)
    return Reach(
        object_type.id,
        to.id,
        tuple(row.id for row in types),
        tuple(row.inverse_id for row in types),
        only=labels is not None and not labels,
    )


def _labels(
    labels: Any, object_type: ObjectTypeRow, to: ObjectTypeRow, catalogue: Catalogue
) -> list[AssociationTypeRow]:
    if not isinstance(labels, list | tuple):
        raise _labels_malformed(labels)
    known = {row.name: row for row in catalogue.between(object_type.id, to.id) if row.name is not None}
    found: dict[int, AssociationTypeRow] = {}
    for n, name in enumerate(labels):
        row = known.get(name) if isinstance(name, str) else None
        if row is None:
            raise UnknownLabel(
                label=tidy(name) if isinstance(name, str) else shown(name),
                object_type=object_type.name,
                to=to.name,
                known=sorted(known) or "none",
                path=(ASSOCIATED, "labels", n),
            )
        found[row.id] = row
    return [found[type_id] for type_id in sorted(found)]


def _labels_malformed(labels: Any) -> MalformedLeaf:
    reason = (
        f'"labels" must be a list of internal names, not {shown(labels)}; null is any, [] is unlabelled only'
    )
    return MalformedLeaf(reason=reason, path=(ASSOCIATED, "labels"))
