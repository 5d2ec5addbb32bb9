"""Imports are made, planned, checked, run, stopped and taken back."""

from collections.abc import Mapping
from typing import Any, cast

import strawberry

from engine.access import Scope
from engine.imports.proposals import Proposal
from resolvers import imports as work
from resolvers.imports import Sent
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.import_plans import (
    ImportFileInput,
    ImportPlan,
    ImportPlanInput,
    file_document,
    plan_document,
)
from schema.imports import Import
from schema.scalars import Upload
from storage.imports import ImportRow

KEY = "A text of your choice: the same key twice does the work once and answers the same."


@strawberry.input
class CreateImportInput:
    """A new import."""

    name: str | None = strawberry.field(
        default=None, description="What people call its file; null: as it is called where it comes along."
    )
    plan: ImportPlanInput | None = strawberry.field(
        default=None, description="Which columns fill what; null: that is said later."
    )
    file: Upload | None = strawberry.field(
        default=None,
        description="The file, in a multipart request; null: it is PUT to `uploadUrl`, which large ones should be.",
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class ProposeImportInput:
    """An import whose file is to be looked at."""

    id: strawberry.ID = strawberry.field(description="The import; its file has been sent.")
    object_types: list[str] | None = strawberry.field(
        default=None, description="What the file may hold, the most important first; null: anything."
    )
    file: ImportFileInput | None = strawberry.field(
        default=None, description="How the file is to be read, where that is not to be found out."
    )


@strawberry.input
class PlanImportInput:
    """What is to be said of the columns of an import's file."""

    id: strawberry.ID = strawberry.field(description="The import; its file has been sent.")
    plan: ImportPlanInput = strawberry.field(description="Which columns fill what.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class CheckImportInput:
    """An import to check."""

    id: strawberry.ID = strawberry.field(description="The import; its file has been sent.")
    plan: ImportPlanInput | None = strawberry.field(
        default=None, description="Which columns fill what; null: as was said before."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class StartImportInput:
    """An import to run."""

    id: strawberry.ID = strawberry.field(description="The import; its file has been sent.")
    plan: ImportPlanInput | None = strawberry.field(
        default=None, description="Which columns fill what; null: as was said before."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class PauseImportInput:
    """An import to stop for a while."""

    id: strawberry.ID = strawberry.field(description="The import.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class ResumeImportInput:
    """An import that is to go on."""

    id: strawberry.ID = strawberry.field(description="The import.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class CancelImportInput:
    """An import to end."""

    id: strawberry.ID = strawberry.field(description="The import.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class UndoImportInput:
    """An import to take back."""

    id: strawberry.ID = strawberry.field(description="The import.")
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.type
class ImportPayload:
    """An import as it stands after a change."""

    import_: Import | None = strawberry.field(
        name="import", description="The import; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class ImportProposal:
    """What the columns of a file seem to hold: a plan to correct, and to send back."""

    plan: ImportPlan | None = strawberry.field(description="The plan; null where nothing was recognized.")
    header: list[str] = strawberry.field(description="The names of the columns.")
    unmapped: list[str] = strawberry.field(description="Columns for which nothing was found.")
    notes: list[str] = strawberry.field(description="What is unclear, for people to decide.")
    sample: list[list[str]] = strawberry.field(description="The first rows, at most ten.")


@strawberry.type
class ProposeImportPayload:
    """A proposal for an import."""

    import_: Import | None = strawberry.field(
        name="import", description="The import, which now knows its header; null where nothing was done."
    )
    proposal: ImportProposal | None = strawberry.field(
        description="What its columns seem to hold; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class ImportMutation:
    """Changes of imports. What takes long is done by workers: `importEvents` tells how far it is."""

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def create_import(self, info: Info, input: CreateImportInput) -> ImportPayload:
        """Make an import. Its file comes along in a multipart request, or is PUT to its `uploadUrl`."""
        sent = cast("Sent | None", input.file)
        plan = plan_document(input.plan)
        making = work.create(info.context, input.name, plan, sent, input.idempotency_key)
        return _payload(*await told(making))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def propose_import(self, info: Info, input: ProposeImportInput) -> ProposeImportPayload:
        """Look at an import's file, and propose which columns fill what."""
        reading = file_document(input.file)
        found, errors = await told(work.propose(info.context, input.id, input.object_types, reading))
        if found is None:
            return ProposeImportPayload(import_=None, proposal=None, user_errors=errors)
        row, proposal = found
        return ProposeImportPayload(import_=Import.of(row), proposal=_proposal(proposal), user_errors=[])

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def plan_import(self, info: Info, input: PlanImportInput) -> ImportPayload:
        """Say which columns of an import's file fill what; what does not fit is told at its place."""
        return await _step(info, "planImport", input.id, input.plan, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def check_import(self, info: Info, input: CheckImportInput) -> ImportPayload:
        """Let the whole file be read, and what the run would do be told; nothing is written."""
        return await _step(info, "checkImport", input.id, input.plan, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def start_import(self, info: Info, input: StartImportInput) -> ImportPayload:
        """Let the file be imported."""
        return await _step(info, "startImport", input.id, input.plan, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def pause_import(self, info: Info, input: PauseImportInput) -> ImportPayload:
        """Stop a run for a while."""
        return await _step(info, "pauseImport", input.id, None, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def resume_import(self, info: Info, input: ResumeImportInput) -> ImportPayload:
        """Go on with a run that was paused, from the row where it stopped."""
        return await _step(info, "resumeImport", input.id, None, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def cancel_import(self, info: Info, input: CancelImportInput) -> ImportPayload:
        """End an import, whatever it is doing. What is in stays."""
        return await _step(info, "cancelImport", input.id, None, input.idempotency_key)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def undo_import(self, info: Info, input: UndoImportInput) -> ImportPayload:
        """Take back what an import did, wherever nobody has changed it since."""
        return await _step(info, "undoImport", input.id, None, input.idempotency_key)


async def _step(
    info: Info, name: str, ident: str, plan: ImportPlanInput | None, key: str | None
) -> ImportPayload:
    document: Mapping[str, Any] | None = plan_document(plan)
    return _payload(*await told(work.step(info.context, name, ident, document, key)))


def _payload(row: ImportRow | None, errors: list[UserError]) -> ImportPayload:
    return ImportPayload(import_=None if row is None else Import.of(row), user_errors=errors)


def _proposal(found: Proposal) -> ImportProposal:
    return ImportProposal(
        plan=ImportPlan.of(found.plan),
        header=list(found.header),
        unmapped=list(found.unmapped),
        notes=list(found.notes),
        sample=[list(row) for row in found.sample],
    )
