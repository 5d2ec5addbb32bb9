"""What a proposal says of associations: between the parts of a row, with the labels that a column seems to hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.imports.labels import Labels
from engine.problems import Problem
from storage.catalogue import Catalogue


def between_parts(
    catalogue: Catalogue,
    parts: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    named: str | None,
    unmapped: list[str],
) -> list[dict[str, Any]]:
    """The associations of the first of `parts` (object types) with each of the others.

    `named` is the column that is called so as if it held labels. Without one, a column of `unmapped` whose cells are
    labels is it, and no longer unmapped. From whichever end they can be read, they are.
    """
    first, *others = parts
    links = [_link(first, other) for other in others]
    for column in [named] if named is not None else list(unmapped):
        for n, other in enumerate(others):
            ends = _ends(catalogue, first, other, cells[column])
            if ends is None and column == named and n == len(others) - 1:
                # It is called so: people see what is wrong with it.
                n, ends = 0, (first, others[0])
            if ends is not None:
                links[n] = {**_link(*ends), "labelsColumn": column}
                if column != named:
                    unmapped.remove(column)
                return links
    return links


def _link(near: str, far: str) -> dict[str, Any]:
    return {"from": {"part": near}, "to": {"part": far}}


def _ends(catalogue: Catalogue, one: str, other: str, cells: Sequence[str]) -> tuple[str, str] | None:
    """From whom to whom all of these cells name labels; None: they do not."""
    if not cells:
        return None
    for ends in ((one, other), (other, one)):
        labels = Labels(catalogue, *ends)
        if not any(isinstance(labels.of(cell), Problem) for cell in cells):
            return ends
    return None
