"""Failures tried again: one, some, those of a category, all; by a person, or because their cause may have gone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.problems import Problem
from engine.sync.categories import Category
from storage.database import Transaction

# How many failures one transaction takes up again.
BATCH = 2_000


class LinkNotFailed(Problem):
    """The record has not failed in this sync, it is {state}: there is nothing to retry."""


@dataclass(frozen=True, slots=True)
class Retried:
    """How many are tried again, and the last one that was looked at; None: there are no more."""

    count: int
    last: int | None


async def retry(tx: Transaction, link_ids: Sequence[int]) -> int:
    """Try these links again as soon as can be; how many there are. Those that have not failed are left as they are.

    Where it is one alone, raises `NotFound` and `LinkNotFailed`.
    """
    raise NotImplementedError


async def retry_failed(
    tx: Transaction, sync_id: int, categories: Collection[Category] | None = None, *, after: int = 0
) -> Retried:
    """Try again up to `BATCH` failures of a sync behind the link `after`: all, or those of some categories.

    What was deleted on one side is not among them, unless its category is named: see `resync`.
    """
    raise NotImplementedError


async def after_redefinition(tx: Transaction, sync_id: int) -> None:
    """The sync's definition, or what it is made of, has changed: what needed that is tried again, bit by bit."""
    raise NotImplementedError


async def after_mending(tx: Transaction, connection_id: int) -> None:
    """The connection has new credentials or settings: what failed for want of them is tried again, bit by bit."""
    raise NotImplementedError
