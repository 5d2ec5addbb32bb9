"""Whether what a template needs is there."""

from collections.abc import Iterable

from engine.filters.problems import UnknownLabel, UnknownProperty
from engine.problems import Problem, UnknownObjectType
from engine.templates.reading import Reference
from storage.catalogue import Catalogue, ObjectTypeRow


def check(references: Iterable[Reference], object_type: ObjectTypeRow, catalogue: Catalogue) -> list[Problem]:
    """What is missing of that which a template for records of `object_type` needs, each named."""
    found = (_missing(reference, object_type, catalogue) for reference in references)
    return [problem for problem in found if problem is not None]


def _missing(reference: Reference, object_type: ObjectTypeRow, catalogue: Catalogue) -> Problem | None:
    of = object_type
    if reference.to is not None:
        other = catalogue.by_name.get(reference.to)
        if other is None:
            return UnknownObjectType(name=reference.to)
        of = other
        if reference.label is not None and catalogue.label(object_type.id, of.id, reference.label) is None:
            known = [row.name for row in catalogue.between(object_type.id, of.id) if row.name is not None]
            return UnknownLabel(
                label=reference.label, object_type=object_type.name, to=of.name, known=known or "none"
            )
    if of.live(reference.property) is None:
        return UnknownProperty(property=reference.property, object_type=of.name)
    return None
