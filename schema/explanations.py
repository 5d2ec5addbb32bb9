"""Explanations: why a record meets a filter, or does not."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import explanations as reads
from resolvers import loaders
from resolvers import records as record_reads
from schema.access import Requires
from schema.context import Info
from schema.filters import FilterInput, filter_definition
from schema.records import Record
from schema.scalars import JSON


@strawberry.type
class FilterWindow:
    """The span of time that a condition means at this moment. Null: it is open there."""

    start: str | None = strawberry.field(description="Where it begins: a date or a moment.")
    end: str | None = strawberry.field(description="Where it ends.")


@strawberry.type
class LookedAtRecord:
    """An associated record that a condition regarded."""

    told: strawberry.Private[Mapping[str, Any]]

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record."""
        row = await loaders.record(info.context).load(ids.decode("record", self.told["record"]))
        return None if row is None else Record.of(record_reads.found(info.context, row))

    @strawberry.field
    def labels(self) -> list[str]:
        """The internal names of the labels of the association, as they stand at the record that was tested."""
        return list(self.told["labels"])

    @strawberry.field
    def holds(self) -> bool:
        """Whether it meets the nested condition."""
        return bool(self.told["holds"])

    @strawberry.field
    def where(self) -> "FilterExplanation | None":
        """How the nested condition answers for it; null where nothing is asked of it."""
        nested = self.told.get("where")
        return None if nested is None else FilterExplanation(told=nested)


@strawberry.type
class FilterExplanation:
    """What became of one part of a filter for one record."""

    told: strawberry.Private[Mapping[str, Any]]

    @strawberry.field
    def kind(self) -> str:
        """The key of this part in `FilterInput`: and, or, not, property, associated …"""
        return str(self.told["kind"])

    @strawberry.field
    def holds(self) -> bool:
        """Whether this part holds for the record."""
        return bool(self.told["holds"])

    @strawberry.field
    def path(self) -> list[JSON]:
        """Where the part stands in the filter: names and indexes."""
        return [JSON(step) for step in self.told["path"]]

    @strawberry.field
    def parts(self) -> list["FilterExplanation"]:
        """Of `and`, `or` and `not`: what became of their parts."""
        return [FilterExplanation(told=part) for part in self.told.get("parts", ())]

    @strawberry.field
    def expected(self) -> JSON | None:
        """Of a condition: what it asks, as the filter says it, defaults spelled out."""
        expected = self.told.get("expected")
        return None if expected is None else JSON(expected)

    @strawberry.field
    def actual(self) -> JSON | None:
        """Of a condition: what the record has; of one on associated records, their number. Null: nothing.

        Of one on events: how many count, and some of those looked at.
        """
        actual = self.told.get("actual")
        return None if actual is None else JSON(actual)

    @strawberry.field
    def window(self) -> FilterWindow | None:
        """Of a condition that looks at the clock: the span of time that it means now."""
        window = self.told.get("window")
        return None if window is None else FilterWindow(start=window.get("from"), end=window.get("to"))

    @strawberry.field
    def looked_at(self) -> list[LookedAtRecord]:
        """Of a condition on associated records: some of those that it regarded, the decisive ones first."""
        return [LookedAtRecord(told=one) for one in self.told.get("lookedAt", ())]

    @strawberry.field
    def looked_at_count(self) -> int | None:
        """How many it regarded."""
        count: int | None = self.told.get("lookedAtCount")
        return count

    @strawberry.field
    def tree(self) -> JSON:
        """This part with all that is below it, as JSON: for filters of any depth."""
        return JSON(self.told)


@strawberry.type
class ExplanationQuery:
    """Explanations."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def explain_filter(
        self,
        info: Info,
        record: Annotated[strawberry.ID, strawberry.argument(description="The id of the record.")],
        where: Annotated[FilterInput, strawberry.argument(description="What is asked of it.")],
    ) -> FilterExplanation | None:
        """Why a record meets a filter, or does not, part by part; null where there is no such record."""
        found = await reads.of_filter(info.context, record, filter_definition(where) or {})
        return None if found is None else FilterExplanation(told=found.tree)
