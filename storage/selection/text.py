"""The fold of a selection into an expression of SQL: the finished JSON text of the answer.

Text is made by `concat` with constant parts merged: the fastest way that PostgreSQL has (objects by
json_build_object cost half as much again, by jsonb_build_object almost three times).
"""

from collections.abc import Mapping
from typing import assert_never

from storage.selection.facts import display_name_text, moment_text, property_text
from storage.selection.orders import cursor, order_by
from storage.selection.sources import counted, limited, rows_beyond, total
from storage.selection.sql import Params, Text, an_object, literal, value
from storage.selection.tree import (
    Associated,
    AssociationCount,
    Connection,
    ConnectionPart,
    Constant,
    DisplayName,
    EdgeFact,
    EdgePart,
    Edges,
    Identity,
    Labels,
    Moment,
    Nodes,
    One,
    PageFact,
    PageInfo,
    Properties,
    PropertyValue,
    RecordPart,
    RecordParts,
    Root,
    Selection,
    Total,
)


class Fold:
    """One pass over a selection; gives aliases and parameters their numbers. `params`: all that were given."""

    def __init__(self) -> None:
        self.params = Params()
        self._aliases = 0

    def alias(self) -> str:
        """An alias that nobody has yet."""
        self._aliases += 1
        return f"r{self._aliases}"

    def selection(self, selection: Selection) -> Text:
        """The object of a whole answer."""
        return an_object(
            (key, Text(root.text) if isinstance(root, Constant) else self.root(root))
            for key, root in selection.roots
        )

    def root(self, root: Root) -> Text:
        """The text of one root."""
        match root:
            case One():
                return self.one(root)
            case Connection():
                return self.connection(root, "")
            case _:
                assert_never(root)

    def one(self, one: One) -> Text:
        """A record by its id or a unique value."""
        record, params = self.alias(), self.params
        if one.unique is not None:
            property_id, text = one.unique
            # What a merged record held still leads to its survivor.
            ident = (
                "(SELECT coalesce(h.merged_into_id, h.id) FROM unique_value AS u "
                "JOIN record AS h ON h.account_id = $1 AND h.id = u.record_id WHERE u.account_id = $1 "
                f"AND u.property_id = {params.big(property_id)} AND u.value = {params.add(text, 'text')})"
            )
        else:
            given = params.big(one.id)
            # A merged record is its survivor; who merges keeps this one step long.
            ident = (
                "coalesce((SELECT m.merged_into_id FROM record AS m WHERE m.account_id = $1 "
                f"AND m.id = {given}), {given})"
            )
        return value(
            f"(SELECT {self.record(one.node, record).sql} FROM record AS {record} "
            f"WHERE {record}.account_id = $1 AND {record}.id = {ident} "
            f"AND {record}.object_type_id = {params.big(one.object_type_id)})"
        )

    # --- records ---------------------------------------------------------------------------------------

    def record(self, wanted: RecordParts, record: str) -> Text:
        """The object of the record at alias `record`."""
        return an_object((key, self.record_part(part, record)) for key, part in wanted.parts)

    def record_part(self, part: RecordPart, record: str) -> Text:
        """One member of a record's object."""
        match part:
            case Constant(text):
                return Text(text)
            case Identity(prefix):
                return Text(f'"{prefix}').put(f"{record}.id").say('"')
            case DisplayName(alternatives, prefix):
                return display_name_text(alternatives, prefix, record)
            case Moment(column):
                return moment_text(f"{record}.{column}", nullable=column not in ("created_at", "updated_at"))
            case Properties(names=None, hidden=hidden):
                left_out = f" - ARRAY[{', '.join(literal(name) for name in hidden)}]" if hidden else ""
                return Text().put(f"({record}.properties{left_out})::text")
            case Properties():
                return an_object((name, property_text(name, record)) for name in part.names or ())
            case PropertyValue(name):
                return property_text(name, record)
            case AssociationCount(to_object_type_id, unlabelled_id, labels):
                source = Associated(to_object_type_id, unlabelled_id, labels)
                found = counted(source, self.params, self.alias(), of=f"{record}.id")
                return value(f"({found})::text")
            case Connection():
                return self.connection(part, f"{record}.id")
            case _:
                assert_never(part)

    # --- connections -----------------------------------------------------------------------------------

    def connection(self, connection: Connection, of: str) -> Text:
        """The object of a connection; `of` is the expression of the source record's id."""
        rows = _Rows(self, connection, of)
        members = an_object([(key, rows.part(part)) for key, part in connection.parts])
        if not rows.items:
            # Constants and a total: no page is read.
            return members
        return Text().put(f"(SELECT {members.sql} FROM {rows.tables})")


class _Rows:
    """A connection's page: each list that is asked for is one aggregate over the same rows.

    With facts of the page asked for, one row more is read, the lists are arrays, and the extra row is cut off.
    """

    def __init__(self, fold: Fold, connection: Connection, of: str) -> None:
        self.fold = fold
        self.listing = connection.listing
        self.of = of
        self.row = fold.alias()
        self.cut = any(isinstance(part, PageInfo) for _, part in connection.parts)
        # The texts of each list's items.
        self.items: list[str] = []
        # What the rows must have for them, and for their order.
        terms = self.listing.page.order.terms
        self.columns = ["id", *(term.name if term.column else "properties" for term in terms)]

    def part(self, part: ConnectionPart) -> Text:
        """One member of the connection's object."""
        match part:
            case Constant(text):
                return Text(text)
            case Total():
                found = total(self.listing.source, self.fold.params, self.fold.alias(), of=self.of)
                return Text().put(f"({found})::text")
            case PageInfo(parts):
                return an_object((key, self.fact(fact)) for key, fact in parts)
            case Nodes(node):
                self.need(node)
                return self.list_of(self.fold.record(node, self.row))
            case Edges(parts):
                return self.list_of(an_object((key, self.edge(edge)) for key, edge in parts))
            case _:
                assert_never(part)

    def list_of(self, item: Text) -> Text:
        """A JSON array of `item` for every row of the page."""
        return Text("[").put(self.aggregate(item)).say("]")

    def aggregate(self, item: Text) -> str:
        """The items of the page, joined by commas."""
        if not self.cut:
            self.items.append(item.sql)
            return f"string_agg({item.sql}, ',')"
        return f"array_to_string({self.array(item)}, ',')"

    def array(self, item: Text) -> str:
        """The items of the page, as an array without the extra row."""
        if item.sql not in self.items:
            self.items.append(item.sql)
        size = self.listing.page.size
        page = f"{self.row}p"
        kept = f"[greatest({page}.n - {size}, 0) + 1:]" if self.listing.page.backward else f"[1:{size}]"
        return f"({page}.i{self.items.index(item.sql)}){kept}"

    def edge(self, part: EdgePart) -> Text:
        """One member of an edge's object."""
        match part:
            case Constant(text):
                return Text(text)
            case EdgeFact.CURSOR:
                return Text('"').say(cursor(self.listing.page, self.row)).say('"')
            case EdgeFact.ASSOCIATED_AT:
                self.columns.append("associated_at")
                return moment_text(f"{self.row}.associated_at")
            case EdgeFact.ASSOCIATION_SOURCE:
                self.columns.append("association_source")
                return Text().put(f"to_json({self.row}.association_source)::text")
            case Labels(texts):
                return self.labels(dict(texts))
            case RecordParts():
                self.need(part)
                return self.fold.record(part, self.row)
            case _:
                assert_never(part)

    def labels(self, texts: Mapping[int, str]) -> Text:
        """The labels of the association, in the order of their ids."""
        source = self.listing.source
        assert isinstance(source, Associated)
        params = self.fold.params
        words = params.add({str(type_id): text for type_id, text in texts.items()}, "jsonb")
        return (
            Text("[")
            .put(
                f"(SELECT string_agg({words} ->> l.type_id::text, ',') FROM (SELECT l.type_id "
                f"FROM association AS l WHERE l.account_id = $1 AND l.from_id = {self.of} "
                f"AND l.to_object_type_id = {params.big(source.object_type_id)} AND l.to_id = {self.row}.id "
                f"AND l.type_id <> {params.big(source.unlabelled_id)} ORDER BY l.type_id) AS l)"
            )
            .say("]")
        )

    def fact(self, fact: Constant | PageFact) -> Text:
        """One member of the page information."""
        match fact:
            case Constant(text):
                return Text(text)
            case PageFact.HAS_NEXT:
                return self.more(following=True)
            case PageFact.HAS_PREVIOUS:
                return self.more(following=False)
            case PageFact.START | PageFact.END:
                cursors = self.array(Text('"').say(cursor(self.listing.page, self.row)).say('"'))
                at = "1" if fact is PageFact.START else f"cardinality({cursors})"
                return value(f"({cursors})[{at}]")
            case _:
                assert_never(fact)

    def more(self, *, following: bool) -> Text:
        """Whether there is anything behind this end of the page."""
        cut_here = following is not self.listing.page.backward
        reasons = [f"{self.row}p.n > {self.listing.page.size}"] if cut_here else []
        behind = rows_beyond(
            self.listing, self.fold.params, self.fold.alias(), of=self.of, following=following
        )
        if behind is not None:
            reasons.append(behind)
        if not reasons:
            return Text("false")
        if cut_here and not self.items:
            # Something must be read to know how many rows there are.
            self.array(Text("0"))
        return Text().put(f"({' OR '.join(reasons)})::text")

    def need(self, node: RecordParts) -> None:
        """Have the columns that a record's parts are made of."""
        for _, part in node.parts:
            match part:
                case DisplayName() | Properties() | PropertyValue():
                    self.columns.append("properties")
                case Moment(column):
                    self.columns.append(column)
                case _:
                    pass

    @property
    def tables(self) -> str:
        """What the connection's object is selected from."""
        inner = self.fold.alias()
        page = self.listing.page
        rows = limited(
            self.listing, self.fold.params, inner, self.columns, of=self.of, more=1 if self.cut else 0
        )
        if page.backward:
            forward = order_by(page.order, f"{inner}b")
            rows = f"SELECT {inner}b.* FROM ({rows}) AS {inner}b ORDER BY {forward}"
        if not self.cut:
            return f"({rows}) AS {self.row}"
        lists = ", ".join(f"array_agg({item}) AS i{n}" for n, item in enumerate(self.items))
        return f"(SELECT count(*)::int AS n, {lists} FROM ({rows}) AS {self.row}) AS {self.row}p"
