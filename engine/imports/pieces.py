"""What a hand is given of an import: rows with all that it takes to bring them in, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.crew import Hand
from engine.imports import running
from engine.imports.files import Row
from engine.imports.running import Batch, Turn
from engine.imports.writing import Standing, Writer
from storage.imports import ImportRow


@dataclass(frozen=True, slots=True)
class Task:
    """An import as whoever reads its file holds it: the same for all its pieces. `opening` tells one reading apart."""

    account_id: int
    number: int
    token: str
    lease: timedelta
    user_id: int | None
    opening: str
    document: dict[str, Any]
    header: Sequence[str]
    checking: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one lane, brought in by one transaction. It finds for itself whether they are in already."""

    task: Task
    # Rows travel as plain values; those with a problem as they are.
    sound: Sequence[tuple[int, list[str]]]
    wrong: Sequence[Row]
    share: float
    end: int
    lane: int | None
    marks: Mapping[int, int]
    # Whether rows of this lane may have failed before.
    failures: bool

    async def __call__(self, hand: Hand) -> tuple[ImportRow, bool]:
        """The import after it, and whether rows of the lane may have failed by now.

        Raises `running.Overtaken`, `Refused` where the plan no longer fits, and what PostgreSQL raises.
        """
        task = self.task
        turn = Turn(
            hand.db, task.account_id, task.number, task.token, task.lease, hand.clock, task.user_id
        )  # fmt: skip
        standing = hand.remembered(
            ("import", task.opening), lambda: Standing(task.document, task.header, task.number)
        )
        writer = Writer(standing, task.number, task.checking, self.failures)
        rows = [Row(number, cells) for number, cells in self.sound]
        if self.wrong:
            rows = sorted([*rows, *self.wrong], key=lambda row: row.number)
        step = running.check if task.checking else running.run
        after = await step(turn, writer, Batch(rows, self.share, self.end, self.lane, self.marks))
        return after, writer.failures
