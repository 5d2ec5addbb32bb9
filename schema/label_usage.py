"""What uses a label, and whom an intended limit would find beyond it."""

from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.problems import NotFound
from engine.uses import Use, UseKind
from resolvers import labels, loaders
from resolvers import records as reads
from resolvers.labels import Violations
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.nodes import PageInfo, page_info
from schema.records import Record
from schema.scalars import JSON
from storage.label_usage import Excess

enum(
    UseKind,
    "LabelUseKind",
    "What uses a label.",
    {
        "ASSOCIATIONS": "Pairs of records that hold it.",
        "SEGMENT": "The filter of a segment.",
        "WORKFLOW_TRIGGER": "A trigger of a workflow, or a filter in it.",
        "WORKFLOW_ACTION": "An action of a workflow, or a filter in it.",
        "SYNC": "A role of a data sync, or its filter.",
        "REPORT": "A join of a saved report, or a filter in it.",
    },
)


@strawberry.type
class LabelUse:
    """One use of a label."""

    use: strawberry.Private[Use]
    kind: UseKind = strawberry.field(description="What uses it.")
    count: int = strawberry.field(
        description="How many pairs of records hold it, archived records included; 1 for a place in a definition."
    )
    name: str | None = strawberry.field(
        description="The name of the segment, workflow, sync or report; null for associations."
    )
    revision: int | None = strawberry.field(
        description="Which published definition of the workflow names it, published now or still under way; "
        "null: the draft, or no workflow."
    )

    @strawberry.field
    def id(self) -> strawberry.ID | None:
        """The id of the segment, workflow, sync or report; null for associations."""
        kind, number = self.use.subject, self.use.subject_id
        return None if kind is None or number is None else strawberry.ID(ids.encode(kind, number))

    @strawberry.field
    def path(self) -> list[JSON]:
        """Where in the definition: names and indexes, such as ["actions", 0, "applyLabel", "label"]."""
        return [JSON(part) for part in self.use.path]

    @classmethod
    def of(cls, use: Use) -> "LabelUse":
        """The use as clients see it."""
        return cls(use=use, kind=use.kind, count=use.count, name=use.name, revision=use.revision)


@strawberry.type
class LabelUsage:
    """All uses of a label, in both directions."""

    found: strawberry.Private[list[Use]]

    @strawberry.field
    def association_count(self) -> int:
        """How many pairs of records hold it, archived records included."""
        return sum(use.count for use in self.found if use.kind is UseKind.ASSOCIATIONS)

    @strawberry.field
    def workflow_count(self) -> int:
        """How many workflows name it."""
        return self._subjects("workflow")

    @strawberry.field
    def segment_count(self) -> int:
        """How many segments name it."""
        return self._subjects("segment")

    @strawberry.field
    def sync_count(self) -> int:
        """How many data syncs name it."""
        return self._subjects("sync")

    @strawberry.field
    def report_count(self) -> int:
        """How many saved reports name it."""
        return self._subjects("report")

    @strawberry.field
    def in_use(self) -> bool:
        """Whether anything uses it; only a label that is not in use can be deleted."""
        return bool(self.found)

    @strawberry.field
    def uses(self) -> list[LabelUse]:
        """Every use: associations as one, each place in a definition as one."""
        return [LabelUse.of(use) for use in self.found]

    def _subjects(self, kind: str) -> int:
        return len({use.subject_id for use in self.found if use.subject == kind})


@strawberry.type
class LimitViolation:
    """A record that has more than an intended limit already. It would keep what it has, and get no more."""

    excess: strawberry.Private[Excess]
    count: int = strawberry.field(description="How many it has; archived ones do not count.")

    @strawberry.field
    async def record(self, info: Info) -> Record:
        """The record."""
        row = await loaders.record(info.context).load(self.excess.record_id)
        if row is None:
            raise NotFound(kind="record", name=ids.encode("record", self.excess.record_id))
        return Record.of(reads.found(info.context, row))


@strawberry.type
class LimitViolationEdge:
    """A record on a page of those beyond a limit."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: LimitViolation = strawberry.field(description="The record, and how many it has.")


@strawberry.type
class LimitViolationConnection:
    """A page of records beyond an intended limit, in the order of their ids."""

    page: strawberry.Private[Violations]
    edges: list[LimitViolationEdge] = strawberry.field(description="The records with their cursors.")
    nodes: list[LimitViolation] = strawberry.field(description="The records.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        """How many there are on all pages. Counted only when asked for."""
        return await labels.violations_total(info.context, self.page)

    @classmethod
    def of(cls, page: Violations) -> "LimitViolationConnection":
        """The page as clients see it."""
        edges = [
            LimitViolationEdge(
                cursor=ids.encode("record", row.record_id), node=LimitViolation(excess=row, count=row.count)
            )
            for row in page.rows
        ]
        return cls(
            page=page,
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=page_info(edges, page.has_next, page.has_previous),
        )


@strawberry.type
class LabelUsageQuery:
    """Reads of what uses labels."""

    @strawberry.field(extensions=[Requires(Scope.DEFINITIONS_READ)])
    async def label_usage(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of either direction.")],
    ) -> LabelUsage:
        """What uses a label: what must let go of it before it can be deleted."""
        row = labels.by_id(info.context.catalogue, id)
        return LabelUsage(found=await labels.usage(info.context, row))

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def limit_violations(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID,
            strawberry.argument(
                description="The id of the direction that the limit is intended for; of the unlabelled type: the "
                "limit of the object pair."
            ),
        ],
        max_count: Annotated[
            int,
            strawberry.argument(
                description="The intended limit; also one that other limits do not allow yet."
            ),
        ],
        first: int | None = None,
        after: str | None = None,
    ) -> LimitViolationConnection:
        """The records that have more than an intended limit already, before it is set; nothing is changed."""
        return LimitViolationConnection.of(await labels.violations(info.context, id, max_count, first, after))
