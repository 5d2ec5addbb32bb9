"""Imports: files of records and of labelled relations, streamed, written set by set; wrong rows are told one by one."""

from engine.imports.commands import (
    cancel,
    check,
    create,
    errors,
    get,
    page,
    pause,
    resume,
    set_plan,
    start,
    undo,
    upload,
)
from engine.imports.of_associations import associations
from engine.imports.of_records import records
from engine.imports.proposals import Proposal, propose, propose_for, propose_of
from engine.imports.run import run
from engine.imports.tally import Progress, Report, RowError

__all__ = [
    "Progress",
    "Proposal",
    "Report",
    "RowError",
    "associations",
    "cancel",
    "check",
    "create",
    "errors",
    "get",
    "page",
    "pause",
    "propose",
    "propose_for",
    "propose_of",
    "records",
    "resume",
    "run",
    "set_plan",
    "start",
    "undo",
    "upload",
]
