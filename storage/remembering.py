"""A snapshot that remembers records: for those who decide on some of them, and then say why."""

from typing import Any

from storage.session import Reader, Row


class Remembering(Reader):
    """A reader on one snapshot; `visible` are the records that were asked for on it, by id; None: it is not there.

    For as many records as one batch looks at: all of them are kept until it ends.
    """

    __slots__ = ("visible",)

    def __init__(self, connection: Any, account_id: int) -> None:
        super().__init__(connection, account_id)
        self.visible: dict[int, Row | None] = {}
