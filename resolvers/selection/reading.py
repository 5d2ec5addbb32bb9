"""Reads field nodes of a query into a `Selection`: pure data, for one statement.

What cannot be compiled raises `NotCompiled`, and what is wrong raises its `Problem`; in both cases ordinary
execution does the work, and words the errors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values

from engine import ids, values
from resolvers import listings
from resolvers.selection.words import (
    EDGE_FACTS,
    MOMENTS,
    PAGE_FACTS,
    NotCompiled,
    constant,
    fact_of,
    label_text,
    page_asked,
    plain,
)
from storage.catalogue import Catalogue, ObjectTypeRow
from storage.selection.tree import (
    Connection,
    ConnectionPart,
    Constant,
    DisplayName,
    EdgeFact,
    EdgePart,
    Edges,
    Identity,
    Labels,
    Listing,
    Moment,
    Nodes,
    One,
    PageInfo,
    Properties,
    PropertyValue,
    RecordPart,
    RecordParts,
    Root,
    Selection,
    Slot,
    Total,
    display,
)

# Bounds a statement's text, whatever is asked; what goes beyond is resolved field by field.
MOST_PARTS = 2_000
MOST_LEVELS = 16

# The root fields that are read here.
COMPILED = frozenset({"node", "record", "records"})

RECORD_PREFIX = f"{ids.PREFIXES['record']}_"
# What is asked under one key: all nodes of it, merged.
Details: TypeAlias = list[FieldDetails]


@dataclass(slots=True)
class Reading:
    """One reading of one operation.

    `open` are the variables of which the value may be left open (see `Slot`): those used once, as an id.
    `types` are the object types of records that are asked for by their id alone.
    """

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    operation: OperationDefinitionNode
    variables: VariableValues
    catalogue: Catalogue
    open: frozenset[str] = frozenset()
    types: Mapping[str, int] = field(default_factory=dict)
    _parts: int = field(default=0, init=False)
    _levels: int = field(default=0, init=False)

    def selection(self) -> Selection:
        """The whole operation, when all of its roots compile."""
        query = self.schema.query_type
        assert query is not None
        collected = collect_fields(
            self.schema, self._fragment_details(), self.variables, query, self.operation
        )
        if collected.new_defer_usages:
            raise NotCompiled
        return Selection(
            tuple((key, self.root(query, nodes)) for key, nodes in collected.grouped_field_set.items())
        )

    def root(self, query: GraphQLObjectType, nodes: Details) -> Root | Constant:
        """One root field."""
        name = _name(nodes)
        if name == "__typename":
            return constant(query.name)
        if name not in COMPILED:
            raise NotCompiled
        declared, arguments = self._asked(query, nodes)
        if name == "records":
            of = listings.object_type(self.catalogue, arguments["objectType"])
            listing = listings.records(self.catalogue, of, page_asked(arguments))
            return self.connection(declared, nodes, None, of, listing)
        return self.one(nodes, arguments)

    def one(self, nodes: Details, arguments: Mapping[str, Any]) -> One:
        """A record by id or by a unique property. Without its object type, what it has is not known yet."""
        if (arguments.get("id") is None) is (arguments.get("by") is None):
            raise NotCompiled
        of = self._object_type(arguments)
        query = self.schema.query_type
        assert query is not None
        # Whatever field asks for a record, this is its type; `node` is declared to give any.
        node = self.record(query.fields["record"], nodes, of)
        by = arguments.get("by")
        if by is None:
            slot = self._slot(nodes, "id")
            return One(of.id, node, id=slot or ids.decode("record", arguments["id"]))
        prop = listings.prop(of, by["property"])
        value = values.normalize(prop, by["value"]) if prop.is_unique else None
        if value is None:
            raise NotCompiled
        return One(of.id, node, unique=(prop.id, values.canonical(prop, value)))

    def _object_type(self, arguments: Mapping[str, Any]) -> ObjectTypeRow:
        if arguments.get("objectType") is not None:
            return listings.object_type(self.catalogue, arguments["objectType"])
        found = self.catalogue.object_types.get(self.types.get(arguments.get("id") or "", 0))
        if found is None:
            raise NotCompiled
        return found

    # --- records ---------------------------------------------------------------------------------------

    def record(self, declared: GraphQLField, nodes: Details, of: ObjectTypeRow) -> RecordParts:
        """What is wanted of a record of one object type."""
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise NotCompiled
        parts = self._each(declared, nodes, lambda kind, below: self.record_part(kind, below, of))
        self._levels -= 1
        return RecordParts(parts)

    def record_part(self, kind: GraphQLObjectType, nodes: Details, of: ObjectTypeRow) -> RecordPart:
        """One field of a record."""
        name = _name(nodes)
        if name in MOMENTS:
            return Moment(MOMENTS[name])
        match name:
            case "id":
                return Identity(RECORD_PREFIX)
            case "objectType":
                return constant(of.name)
            case "displayName":
                alternatives = display(of)
                if alternatives is None:
                    raise NotCompiled
                return DisplayName(alternatives, RECORD_PREFIX)
            case "properties" | "property" | "associations" | "associationCount":
                declared, arguments = self._asked(kind, nodes)
                return self.record_call(name, declared, nodes, arguments, of)
            case _:
                raise NotCompiled

    def record_call(
        self,
        name: str,
        declared: GraphQLField,
        nodes: Details,
        arguments: Mapping[str, Any],
        of: ObjectTypeRow,
    ) -> RecordPart:
        """One field of a record that has arguments."""
        match name:
            case "properties":
                names = arguments.get("names")
                if names is None:
                    hidden = (prop.name for prop in of.properties.values() if prop.archived_at is not None)
                    return Properties(None, tuple(sorted(hidden)))
                self._count(len(names))
                return Properties(tuple(listings.prop(of, name).name for name in dict.fromkeys(names)))
            case "property":
                return PropertyValue(listings.prop(of, arguments["name"]).name)
            case "associationCount":
                return listings.association_count(
                    self.catalogue, of, arguments["to"], arguments.get("labels")
                )
            case _:
                if arguments.get("asOf") is not None:
                    # The past is read field by field: its labels may be no part of the account's definitions now.
                    raise NotCompiled
                listing = listings.associated(
                    self.catalogue, of, arguments["to"], arguments.get("labels"), page_asked(arguments)
                )
                far = listings.object_type(self.catalogue, arguments["to"])
                return self.connection(declared, nodes, of, far, listing)

    # --- connections -----------------------------------------------------------------------------------

    def connection(
        self,
        declared: GraphQLField,
        nodes: Details,
        near: ObjectTypeRow | None,
        far: ObjectTypeRow,
        listing: Listing,
    ) -> Connection:
        """A page: of records of `far`, or of those that are associated with one of `near`."""
        return Connection(
            listing,
            self._each(declared, nodes, lambda kind, below: self.connection_part(kind, below, near, far)),
        )

    def connection_part(
        self, kind: GraphQLObjectType, nodes: Details, near: ObjectTypeRow | None, far: ObjectTypeRow
    ) -> ConnectionPart:
        """One field of a connection."""
        declared = self._declared(kind, nodes)
        match _name(nodes):
            case "totalCount":
                return Total()
            case "nodes":
                return Nodes(self.record(declared, nodes, far))
            case "pageInfo":
                return PageInfo(
                    self._each(declared, nodes, lambda _, below: fact_of(_name(below), PAGE_FACTS))
                )
            case "edges":
                return Edges(
                    self._each(declared, nodes, lambda kind, below: self.edge_part(kind, below, near, far))
                )
            case _:
                raise NotCompiled

    def edge_part(
        self, kind: GraphQLObjectType, nodes: Details, near: ObjectTypeRow | None, far: ObjectTypeRow
    ) -> EdgePart:
        """One field of an edge."""
        declared = self._declared(kind, nodes)
        match _name(nodes):
            case "node":
                return self.record(declared, nodes, far)
            case "labels" if near is not None:
                return self.labels(declared, nodes, near, far)
            case _:
                fact: EdgeFact = fact_of(_name(nodes), EDGE_FACTS)
                return fact

    def labels(
        self, declared: GraphQLField, nodes: Details, near: ObjectTypeRow, far: ObjectTypeRow
    ) -> Labels:
        """The labels of an edge: as the account defines them, worded here."""
        fields = self._each(declared, nodes, lambda _, below: _name(below))
        return Labels(
            tuple(
                (row.id, label_text(fields, row))
                for row in self.catalogue.between(near.id, far.id)
                if not row.unlabelled
            )
        )

    # --- GraphQL -----------------------------------------------------------------------------------------

    def _each(
        self, declared: GraphQLField, nodes: Details, read: Callable[[GraphQLObjectType, Details], Any]
    ) -> tuple[tuple[str, Any], ...]:
        """Each field below `nodes`, in the order of the answer, read by `read`; type names are constants."""
        kind = get_named_type(declared.type)
        if not isinstance(kind, GraphQLObjectType):
            raise NotCompiled
        collected = collect_subfields(
            self.schema, self._fragment_details(), self.variables, self.operation, kind, nodes
        )
        if collected.new_defer_usages:
            raise NotCompiled
        self._count(len(collected.grouped_field_set))
        return tuple(
            (
                key,
                constant(kind.name) if _name(below) == "__typename" else read(kind, below),
            )
            for key, below in collected.grouped_field_set.items()
        )

    def _declared(self, kind: GraphQLObjectType, nodes: Details) -> GraphQLField:
        found: GraphQLField | None = kind.fields.get(_name(nodes))
        if found is None:
            raise NotCompiled
        return found

    def _asked(self, kind: GraphQLObjectType, nodes: Details) -> tuple[GraphQLField, dict[str, Any]]:
        declared = self._declared(kind, nodes)
        details = nodes[0]
        arguments = get_argument_values(
            declared, details.node, self.variables, details.fragment_variable_values
        )
        return declared, plain(arguments)

    def _fragment_details(self) -> dict[str, FragmentDetails]:
        return {name: FragmentDetails(found) for name, found in self.fragments.items()}

    def _slot(self, nodes: Details, argument: str) -> Slot | None:
        for given in nodes[0].node.arguments or ():
            if given.name.value == argument and isinstance(given.value, VariableNode):
                name = given.value.name.value
                return Slot(name) if name in self.open else None
        return None

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > MOST_PARTS:
            raise NotCompiled


def _name(nodes: Details) -> str:
    return nodes[0].node.name.value
