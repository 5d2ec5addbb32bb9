"""Use cases of explanations: why a record meets a filter, or does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import filters, ids
from engine.filters.explaining import explain
from engine.problems import at
from resolvers.context import Context
from storage import records


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation as JSON, and the record that it is about."""

    record_id: int
    tree: Mapping[str, Any]


async def of_filter(context: Context, record: str, where: Mapping[str, Any]) -> Explained | None:
    """How a filter answers for a record now; None where there is none, or it was put away. Merged ones are survivors.

    Raises what is wrong with the filter, at its path, and `ExplanationTooWide`.
    """
    number = ids.decode_at("record", record, "record")
    async with context.db.snapshot(context.account_id) as reader:
        (row,) = await records.resolve(reader, [number])
        if row is None:
            return None
        object_type = context.catalogue.object_types[row.object_type_id]
        with at("where"):
            bound = filters.bind(where, object_type, context.catalogue)
        spelled = filters.explicit(where, object_type)
        tree = await explain(
            reader, context.catalogue, spelled, bound, row.id, object_type.id, now=context.now
        )
    return None if tree is None else Explained(row.id, tree)
