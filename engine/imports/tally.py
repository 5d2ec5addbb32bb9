"""What becomes of rows: counted by batch, by import, and as the one who waits for a run is told. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from engine.imports.files import Row
from engine.imports.plan import Place
from engine.problems import Problem
from engine.values import tidy, whole
from storage.imports import ErrorGroupRow, ImportRow, RowErrorRow

# An import keeps this many errors; those beyond are counted.
ERRORS_KEPT = 10_000
# A report names this many.
ERRORS_TOLD = 100
COLUMN_SHOWN = 200
CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has got: rows of the file, those that failed, and the share of it (0 to 1)."""

    rows: int
    share: float
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RowError:
    """One thing that is wrong with one row (1 is the first after the header)."""

    row: int
    column: str | None
    value: str | None
    code: str
    message: str

    @classmethod
    def of(cls, row: int, problem: Problem, column: str | None = None, value: str | None = None) -> Self:
        """The error of a row in which there is this problem."""
        return cls(
            row,
            None if column is None else tidy(column)[:COLUMN_SHOWN],
            None if value is None else tidy(value),
            problem.code,
            # It names what stood in the cell, as it stood there.
            whole(problem.message),
        )

    @classmethod
    def kept(cls, row: RowErrorRow) -> Self:
        """The same as it was kept."""
        return cls(row.row, row.column_name, row.value, row.code, row.message)


@dataclass(slots=True)
class Report:
    """What became of a file. `errors` are the first ones; the import keeps more, and `groups` put those together."""

    import_id: int
    started_at: datetime
    status: str = "RUNNING"
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: list[RowError] = field(default_factory=list)
    groups: list[ErrorGroupRow] = field(default_factory=list)
    # Those that are not kept included.
    errors_found: int = 0
    # How the file was read, with notes for people.
    file: dict[str, Any] = field(default_factory=dict)

    def take(self, row: ImportRow) -> None:
        """Take over an import's figures."""
        self.status, self.file, self.errors_found = row.status, row.file, row.errors
        self.read, self.failed = row.rows_read, row.rows_failed
        self.created, self.updated, self.unchanged = row.rows_created, row.rows_updated, row.rows_unchanged


@dataclass(slots=True)
class Tally:
    """What became of one batch; filled anew each time that the batch is tried."""

    read: int
    errors: list[RowError] = field(default_factory=list)
    # By row: the most that happened to any of its records.
    rows: dict[int, str] = field(default_factory=dict)
    # By part, and of associations: how often what happened.
    figures: dict[str, dict[str, int]] = field(default_factory=dict)

    def wrong(self, row: int, problem: Problem, column: str | None = None, value: str | None = None) -> None:
        """A row has this error."""
        self.errors.append(RowError.of(row, problem, column, value))

    def wrong_in(self, row: Row, place: Place, problem: Problem) -> None:
        """A row has this error in the cell of one column."""
        self.wrong(row.number, problem, place.name, row.cells[place.index])

    def did(self, row: int, part: str, what: str) -> None:
        """A row did this to the record of a part, or to an association."""
        before = self.rows.get(row)
        if before is None or before == UNCHANGED or what == CREATED:
            self.rows[row] = what
        counts = self.figures.setdefault(part, {})
        counts[what] = counts.get(what, 0) + 1

    def all_did(self, rows: Collection[int], part: str, what: str) -> None:
        """Rows of which nothing was noted yet did this to the record of a part."""
        self.rows |= dict.fromkeys(rows, what)
        counts = self.figures.setdefault(part, {})
        counts[what] = counts.get(what, 0) + len(rows)

    def add_to(self, row: ImportRow) -> list[RowErrorRow]:
        """Count the batch in its import; the errors that are to be kept, numbered within each row."""
        failed = {error.row for error in self.errors}
        done = [what for number, what in self.rows.items() if number not in failed]
        row.rows_read += self.read
        row.rows_failed += len(failed)
        row.rows_created += done.count(CREATED)
        row.rows_updated += done.count(UPDATED)
        row.rows_unchanged += done.count(UNCHANGED)
        self.errors.sort(key=lambda error: error.row)
        kept = list(_numbered(self.errors[: max(ERRORS_KEPT - row.errors, 0)]))
        row.errors += len(self.errors)
        figures = {name: dict(counts) for name, counts in row.figures.items()}
        codes = figures.setdefault("errors", {})
        for error in self.errors:
            codes[error.code] = codes.get(error.code, 0) + 1
        for part, counts in self.figures.items():
            held = figures.setdefault(part, {})
            for what, n in counts.items():
                held[what] = held.get(what, 0) + n
        row.figures = figures
        return kept


def _numbered(errors: Iterable[RowError]) -> Iterator[RowErrorRow]:
    row, n = 0, 0
    for error in errors:
        row, n = error.row, n + 1 if error.row == row else 1
        yield RowErrorRow(row, n, error.column, error.value, error.code, error.message)
