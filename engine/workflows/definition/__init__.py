"""A workflow's definition: its values, its document, and the program that its actions make."""

from engine.workflows.definition.document import dump, kind, load, load_as
from engine.workflows.definition.parts import OnError
from engine.workflows.definition.program import Node, Program, compiled
from engine.workflows.definition.values import Definition

__all__ = ["Definition", "Node", "OnError", "Program", "compiled", "dump", "kind", "load", "load_as"]
