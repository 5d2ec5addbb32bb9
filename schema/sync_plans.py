"""Previews: what a sync would do, item by item, field by field and end by end; then just that is applied."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.categories import TIPS, Category
from engine.sync.effects import told_of
from engine.sync.rules import Side
from resolvers import sync_plans as reads
from resolvers.sync_plans import Wanted
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.nodes import Node, PageInfo, page_info
from schema.records import Record
from schema.sync_attempts import ValueChange, known
from schema.sync_plan_ends import SyncPlanAssociationConnection, SyncPlanAssociationCount
from schema.sync_records import record_by_number
from schema.sync_words import PlanKind, PlanOutcome, PlanState
from schema.syncs import Sync
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow


@strawberry.type
class SyncPlanProblem:
    """Why something would fail, or be left out."""

    category: Category | None = strawberry.field(description="The cause.")
    tip: str | None = strawberry.field(description="What can be done about it.")
    message: str | None = strawberry.field(description="The cause in words.")
    side: Side | None = strawberry.field(description="Where it was to be written.")


@strawberry.type
class SyncPlanItem:
    """What would be done with a record, an item, or both as one."""

    row: strawberry.Private[PlanItemRow]
    id: strawberry.ID = strawberry.field(description="The id of this item of the preview.")
    kind: PlanKind = strawberry.field(description="What would be done.")
    external_id: str | None = strawberry.field(
        description="The item's id in the other app; null: there is none yet."
    )
    matched_by: str | None = strawberry.field(
        description="The property by which they are found to be the same; null: they are linked already, or not at all."
    )
    ours: list[ValueChange] = strawberry.field(description="What would be written to our record.")
    theirs: list[ValueChange] = strawberry.field(description="What would be written to their item.")
    conflicts: list[str] = strawberry.field(
        description="The properties that both sides have changed, and about which a person would be asked."
    )
    problem: SyncPlanProblem | None = strawberry.field(
        description="Why it, or some of it, would fail, or be left out."
    )
    outcome: PlanOutcome | None = strawberry.field(
        description="What became of it, once the preview was applied; null: nothing yet."
    )
    message: str | None = strawberry.field(description="What was said about that.")

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def record(self, info: Info) -> Record | None:
        """The record, as it is now; null: there is none yet."""
        return await record_by_number(info, self.row.record_id)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def associations(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> SyncPlanAssociationConnection:
        """What would become of its associations, on both sides."""
        return SyncPlanAssociationConnection.of(told_of(self.row.effect), info, first, after)

    @classmethod
    def of(cls, row: PlanItemRow) -> "SyncPlanItem":
        """The item as clients see it."""
        effect: dict[str, Any] = row.effect
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("plan item", row.id)),
            kind=PlanKind(row.kind),
            external_id=row.external_id,
            matched_by=effect.get("matchedBy"),
            ours=ValueChange.all(effect.get("ours")),
            theirs=ValueChange.all(effect.get("theirs")),
            conflicts=list(effect.get("conflicts") or ()),
            problem=_problem(effect.get("problem")),
            outcome=_outcome(row.outcome),
            message=row.message,
        )


def _outcome(known: str | None) -> PlanOutcome | None:
    """What goes out for some is under way: of those it is not known yet."""
    return None if known is None or known not in PlanOutcome.__members__ else PlanOutcome(known)


def _problem(given: dict[str, Any] | None) -> SyncPlanProblem | None:
    if given is None:
        return None
    category, side = known(given.get("category")), given.get("side")
    return SyncPlanProblem(
        category=category,
        tip=None if category is None else TIPS[category],
        message=given.get("message"),
        side=None if side is None else Side(side),
    )


@strawberry.type
class SyncPlanItemEdge:
    """An item of a preview on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: SyncPlanItem = strawberry.field(description="The item.")


@strawberry.type
class SyncPlanItemConnection:
    """A page of items of a preview, in the order in which they were found."""

    edges: list[SyncPlanItemEdge] = strawberry.field(description="The items with their cursors.")
    nodes: list[SyncPlanItem] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class SyncPlanCount:
    """How many items of a preview are of a kind."""

    kind: PlanKind = strawberry.field(description="What would be done.")
    count: int = strawberry.field(description="With how many.")


@strawberry.type
class SyncPlanOutcomeCount:
    """How many items of a preview that was applied have come out so."""

    outcome: PlanOutcome = strawberry.field(description="What became of them.")
    count: int = strawberry.field(description="How many.")


@strawberry.type
class SyncPlan(Node):
    """What a sync would do, as it was when both sides were looked at. To make one writes nothing anywhere."""

    row: strawberry.Private[PlanRow]
    sync_id: strawberry.ID = strawberry.field(description="The sync.")
    state: PlanState = strawberry.field(description="How far it is.")
    message: str | None = strawberry.field(description="Why it could not be made or applied.")
    counts: list[SyncPlanCount] = strawberry.field(
        description="How many items there are of each kind, so far."
    )
    association_counts: list[SyncPlanAssociationCount] = strawberry.field(
        description="How many associations would become what, so far."
    )
    outcomes: list[SyncPlanOutcomeCount] = strawberry.field(
        description="What became of them, once it was applied."
    )
    then_start: bool = strawberry.field(description="Whether the sync starts once this is applied.")
    made_at: datetime = strawberry.field(description="When it was asked for.")
    ready_at: datetime | None = strawberry.field(description="When it was whole.")
    applied_at: datetime | None = strawberry.field(description="When all of it had been applied.")

    @strawberry.field
    async def sync(self, info: Info) -> Sync | None:
        """The sync."""
        return await Sync.found(info.context, self.row.sync_id)

    @strawberry.field
    async def items(
        self,
        info: Info,
        kind: Annotated[
            PlanKind | None, strawberry.argument(description="Only those with which this is done; null: all.")
        ] = None,
        outcome: Annotated[
            PlanOutcome | None, strawberry.argument(description="Only those that came out so; null: all.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SyncPlanItemConnection:
        """What would be done with each record and item."""
        return await _items(info, self.row, kind, outcome, first, after)

    @classmethod
    def of(cls, row: PlanRow) -> "SyncPlan":
        """The preview as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("plan", row.id)),
            sync_id=strawberry.ID(ids.encode("sync", row.sync_id)),
            state=PlanState(row.state),
            message=row.message,
            counts=[
                SyncPlanCount(kind=kind, count=row.counts[kind.value])
                for kind in PlanKind
                if row.counts.get(kind.value)
            ],
            association_counts=SyncPlanAssociationCount.all(row.counts),
            outcomes=[
                SyncPlanOutcomeCount(outcome=outcome, count=row.counts[outcome.value])
                for outcome in PlanOutcome
                if row.counts.get(outcome.value)
            ],
            then_start=row.then_start,
            made_at=row.made_at,
            ready_at=row.ready_at,
            applied_at=row.applied_at,
        )


async def _items(
    info: Info,
    plan: PlanRow,
    kind: PlanKind | None,
    outcome: PlanOutcome | None,
    first: int | None,
    after: str | None,
) -> SyncPlanItemConnection:
    wanted = Wanted(None if kind is None else kind.value, None if outcome is None else outcome.value)
    page = await reads.items(info.context, plan.id, wanted, first, after)
    nodes = [SyncPlanItem.of(row) for row in page.rows]
    edges = [SyncPlanItemEdge(cursor=node.id, node=node) for node in nodes]
    return SyncPlanItemConnection(
        edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
    )


@strawberry.type
class SyncPreview:
    """A preview, with a page of what it says."""

    plan: SyncPlan = strawberry.field(
        description="The preview: how far it is, and how much there is of each kind."
    )
    edges: list[SyncPlanItemEdge] = strawberry.field(description="The items with their cursors.")
    nodes: list[SyncPlanItem] = strawberry.field(description="The items.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.input
class PlanSyncInput:
    """A sync to preview anew."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    then_start: bool = strawberry.field(
        default=True, description="Whether the sync starts once the preview is applied."
    )


@strawberry.input
class ApplySyncPlanInput:
    """A preview to apply."""

    plan_id: strawberry.ID = strawberry.field(description="The preview.")
    then_start: bool | None = strawberry.field(
        default=None,
        description="Whether the sync starts once it is applied; null: as was said when it was made.",
    )


@strawberry.type
class SyncPlanPayload:
    """A preview that was asked for, or is being applied."""

    plan: SyncPlan | None = strawberry.field(description="The preview as it is now.")
    user_errors: list[UserError]


@strawberry.type
class SyncPlanQuery:
    """Reads of previews."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def preview_sync(
        self,
        info: Info,
        sync: Annotated[strawberry.ID, strawberry.argument(description="The sync.")],
        kind: Annotated[
            PlanKind | None, strawberry.argument(description="Only items with which this is done; null: all.")
        ] = None,
        refresh: Annotated[
            bool,
            strawberry.argument(
                description="Whether everything is looked at anew; else the last preview is shown."
            ),
        ] = False,
        first: int | None = None,
        after: str | None = None,
    ) -> SyncPreview:
        """What a sync would do with every record and item, on both sides; nothing is written. It waits a few seconds
        for the preview; while `state` is WANTED or MAKING, ask again without `refresh`.
        """
        plan = await reads.preview(info.context, sync, refresh)
        page = await _items(info, plan, kind, None, first, after)
        return SyncPreview(
            plan=SyncPlan.of(plan), edges=page.edges, nodes=page.nodes, page_info=page.page_info
        )


@strawberry.type
class SyncPlanMutation:
    """Previews are asked for, and applied."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def plan_sync(self, info: Info, input: PlanSyncInput) -> SyncPlanPayload:
        """Ask for a preview, without waiting for it: `previewSync` and SYNC_PLANNED tell when it is ready."""
        row, errors = await told(reads.want(info.context, input.id, input.then_start))
        return SyncPlanPayload(plan=None if row is None else SyncPlan.of(row), user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def apply_sync_plan(self, info: Info, input: ApplySyncPlanInput) -> SyncPlanPayload:
        """Do exactly what a preview says. What has changed on either side since then is left, and told as OVERTAKEN."""
        row, errors = await told(reads.apply(info.context, input.plan_id, input.then_start))
        return SyncPlanPayload(plan=None if row is None else SyncPlan.of(row), user_errors=errors)
