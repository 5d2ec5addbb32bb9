"""What every account starts with: object types, their properties, and the labels of the system."""

from engine.standard.activities import ACTIVITIES
from engine.standard.commerce import COMMERCE
from engine.standard.core import CORE
from engine.standard.shapes import StandardObject, StandardProperty
from engine.standard.system_labels import PARENT_CHILD, PRIMARY, SystemLabel, system_labels

OBJECTS: tuple[StandardObject, ...] = (*CORE, *COMMERCE, *ACTIVITIES)

__all__ = [
    "OBJECTS",
    "PARENT_CHILD",
    "PRIMARY",
    "StandardObject",
    "StandardProperty",
    "SystemLabel",
    "system_labels",
]
