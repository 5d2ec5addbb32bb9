"""The smallest change that gives a filter another answer: how few of the things that it looked at must be otherwise.

Pure. Leaves count as independent of each other, and each counts as one. AND sums, OR takes the least, NOT asks for the
opposite. Of associated records one is changed, taken away, or another one is associated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.filters.explaining import Seen
from engine.filters.testing import COMPARE
from engine.values import shown
from engine.workflows.needed import (
    ASSOCIATE,
    DISSOCIATE,
    NOTHING,
    Needed,
    Path,
    Way,
    every,
    least,
    name_of,
    of_leaf,
)
from storage.filters.tree import AssociatedLeaf, Quantifier


def nearest(
    seen: Seen, definition: Mapping[str, Any], record_id: int, *, holds: bool = True, path: Path = ()
) -> Way | None:
    """The smallest change after which a filter holds for a record (or does not); None: there is none.

    `seen` is what the filter saw of the record, `definition` the words that it was made of, at `path`.
    """
    if seen.holds is holds:
        return NOTHING
    ((kind, body),) = ((kind, body) for kind, body in definition.items() if body is not None)
    path = (*path, kind)
    match kind:
        case "not":
            return nearest(seen.parts[0], body, record_id, holds=not holds, path=path)
        case "and" | "or":
            ways = [
                nearest(part, one, record_id, holds=holds, path=(*path, n))
                for n, (part, one) in enumerate(zip(seen.parts, body, strict=True))
            ]
            return every(ways) if (kind == "and") is holds else least(ways)
        case "associated":
            assert isinstance(seen.leaf, AssociatedLeaf)
            return _Around(seen, seen.leaf, body, record_id, path).way(holds)
        case _:
            assert seen.leaf is not None
            assert not isinstance(seen.leaf, AssociatedLeaf)
            found = of_leaf(seen.leaf, seen.actual, kind, body, record_id, holds, path)
            return None if found is None else Way(1, (found,))


# --- associated records -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Around:
    """One leaf on associated records, as it was seen."""

    seen: Seen
    leaf: AssociatedLeaf
    body: Mapping[str, Any]
    record_id: int
    path: Path

    def way(self, holds: bool) -> Way | None:
        """The smallest change of its answer."""
        quantifier = self.leaf.quantifier
        if quantifier is Quantifier.COUNT:
            return self._count(holds)
        if not self._ever:
            # There is no value until something is associated. What held without one may hold with one, too.
            return self._first(holds)
        match quantifier, holds:
            case (Quantifier.ANY, True) | (Quantifier.NONE, False):
                return self._more(1)
            case (Quantifier.ANY, False) | (Quantifier.NONE, True):
                return self._fewer(self._met)
            case Quantifier.ALL, True:
                return self._all()
            case _:
                # One that does not meet it; without a condition there is none, so nobody may be left.
                one = self._turned([each for each in self.seen.looked if self._meets(each)], holds=False)
                return least([one, self._add(1, holds=False)]) or self._fewer(self._met)

    @property
    def _ever(self) -> bool:
        return self.seen.actual is not None or self.leaf.quantifier is Quantifier.NONE

    @property
    def _met(self) -> int:
        if self.seen.looked:
            return sum(self._meets(one) for one in self.seen.looked)
        # Where nobody is shown, counters tell how many there are, and nothing was asked of them.
        return int(self.seen.actual or 0)

    @staticmethod
    def _meets(one: tuple[int, tuple[int, ...], Seen | None]) -> bool:
        return one[2] is None or one[2].holds

    def _first(self, holds: bool) -> Way | None:
        """Nothing was ever associated; afterwards there is one that meets the condition, or one that does not."""
        meets, fails = self._add(1, holds=True), self._add(1, holds=False)
        return meets if holds else fails

    def _count(self, holds: bool) -> Way | None:
        compare = COMPARE[self.leaf.comparison]
        wanted, met = self.leaf.count, self._met if self._ever else 0
        ways: list[Way | None] = []
        # Beyond the number that is asked for, one more or less makes no difference.
        for n in range(max(wanted, met) + 2):
            if compare(n, wanted) is not holds or (n == met and self._ever):
                continue
            if n == 0 and not self._ever:
                ways.append(self._add(1, holds=False))
            else:
                ways.append(self._more(n - met) if n > met else self._fewer(met - n))
        return least(ways)

    def _all(self) -> Way | None:
        """Nobody fails, and somebody is there."""
        if not self.seen.looked:
            return self._add(1, holds=True)
        failing = [one for one in self.seen.looked if not self._meets(one)]
        found, left = NOTHING, len(self.seen.looked) - len(failing)
        for one in failing:
            turned = self._turned([one], holds=True, most=1)
            left += turned is not None
            found += turned or self._removed(one[0])
        return found if left else least([found + self._another(), self._one_kept(failing)])

    def _one_kept(self, failing: Sequence[tuple[int, tuple[int, ...], Seen | None]]) -> Way | None:
        """The one that is nearest to the condition is changed, the others are taken away."""
        turned = [(self._turned([one], holds=True), one) for one in failing]
        possible = [(way, one) for way, one in turned if way is not None]
        if not possible:
            return None
        way, kept = min(possible, key=lambda each: each[0].cost)
        return every([way, *(self._removed(one[0]) for one in failing if one[0] != kept[0])])

    def _more(self, n: int) -> Way:
        """`n` more that meet the condition: those that need one change first, then others."""
        found, rest = NOTHING, n
        for one in self.seen.looked:
            if rest and not self._meets(one) and (way := self._turned([one], holds=True, most=1)) is not None:
                found, rest = found + way, rest - 1
        return found + (self._another(rest) if rest else NOTHING)

    def _fewer(self, n: int) -> Way:
        """`n` fewer that meet it: changed where one change will do, else taken away."""
        found, rest = NOTHING, n
        for one in self.seen.looked:
            if rest and self._meets(one):
                found += self._turned([one], holds=False, most=1) or self._removed(one[0])
                rest -= 1
        return found + (self._removed(None, rest) if rest else NOTHING)

    def _turned(
        self,
        some: Sequence[tuple[int, tuple[int, ...], Seen | None]],
        *,
        holds: bool,
        most: int | None = None,
    ) -> Way | None:
        """The one of these whose answer is changed most easily, within `most` changes."""
        where = self.body.get("where")
        if where is None:
            return None
        path = (*self.path, "where")
        ways = [
            nearest(inner, where, other, holds=holds, path=path)
            for other, _, inner in some
            if inner is not None
        ]
        return least(way for way in ways if way is not None and (most is None or way.cost <= most))

    def _another(self, n: int = 1) -> Way:
        found = self._add(n, holds=True)
        assert found is not None  # there may always be another one
        return found

    def _add(self, n: int, *, holds: bool) -> Way | None:
        where = self.body.get("where")
        if where is None and not holds:
            return None
        who = _some(n, "another record", "other records")
        meets = "" if where is None else " that meets" if holds else " that does not meet"
        meets += "" if where is None else f" what is asked at {_at((*self.path, 'where'))}"
        words = f"{who} of {self.body['to']}{meets} must be associated with {name_of(self.record_id)}"
        return Way(n, (self._needed(ASSOCIATE, words + self._under(), n, holds=holds),))

    def _removed(self, other: int | None, n: int = 1) -> Way:
        who = _some(n, "one of its associations", "of its associations") if other is None else name_of(other)
        words = f"{who} must not be associated with {name_of(self.record_id)} any more{self._under()}"
        return Way(n, (self._needed(DISSOCIATE, words, n, other=other, holds=False),))

    def _under(self) -> str:
        labels = self.body.get("labels")
        if labels is None:
            return ""
        return f" under {' or '.join(shown(one) for one in labels)}" if labels else " without a label"

    def _needed(self, kind: str, words: str, n: int, **more: Any) -> Needed:
        labels = self.body.get("labels")
        return Needed(
            kind,
            words,
            self.record_id,
            self.path,
            expected={key: value for key, value in self.body.items() if value is not None},
            actual=self.seen.actual,
            to=self.body["to"],
            labels=None if labels is None else tuple(labels),
            count=n,
            **more,
        )


def _some(n: int, one: str, several: str) -> str:
    return one if n == 1 else f"{n} {several}"


def _at(path: Path) -> str:
    return ".".join(str(step) for step in path)
