"""A definition's actions as a program: a flat list, in the order of writing, that says what follows what.

An enrollment's `next_step` is a number in this list. A revision never changes, so neither do its numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.problems import PathPart, Problem
from engine.workflows.definition.actions import AnyAction, Branch, Delay, End, GoTo, ValueBranch
from engine.workflows.definition.document import kind

Path = tuple[PathPart, ...]


class UnknownTarget(Problem):
    """There is no action with the id "{action}" to go to."""


class UnreachableAction(Problem):
    """Nothing leads to this action: the one before it goes elsewhere."""


class CircleWithoutDelay(Problem):
    """This leads back to the action "{action}" without a delay on the way: the circle would never rest."""


class DuplicateActionId(Problem):
    """Two actions have the id "{id}"; an action's id is its own within the workflow."""


@dataclass(frozen=True, slots=True)
class Node:
    """An action with its number, and what follows it (None: the end).

    `ways` are a branch's, in order, the default one last; of a delay until an event: the one for a time-out.
    `path` is where it stands in the definition.
    """

    n: int
    action: AnyAction
    next: int | None
    ways: tuple[int | None, ...]
    path: Path


Program = tuple[Node, ...]


def compiled(actions: Sequence[AnyAction]) -> Program:
    """The program of a definition's actions. A way to an action that is not there ends; `problems` tells of it."""
    places = list(_places(actions, ("actions",)))
    numbers = {id(action): n for n, (action, _) in enumerate(places)}
    targets = {action.id: n for n, (action, _) in reversed(list(enumerate(places)))}
    nodes: dict[int, Node] = {}

    def follow(part: Sequence[AnyAction], behind: int | None) -> int | None:
        """Note what follows each of these; where they begin."""
        for action in reversed(part):
            n = numbers[id(action)]
            ways = tuple(follow(inner, behind) for inner, _ in parts(action))
            if isinstance(action, GoTo):
                after = targets.get(action.action)
            elif isinstance(action, End):
                after = None
            else:
                after = behind
            nodes[n] = Node(n, action, after, ways, places[n][1])
            behind = n
        return behind

    follow(actions, None)
    return tuple(nodes[n] for n in range(len(places)))


def parts(action: AnyAction) -> list[tuple[Sequence[AnyAction], Path]]:
    """The lists of actions within an action, in the order of its node's `ways`, each with its path from the action."""
    match action:
        case Branch():
            ways = [(one.actions, ("branches", n, "actions")) for n, one in enumerate(action.branches)]
            return [*ways, (action.otherwise, ("otherwise",))]
        case ValueBranch():
            cases = [(one.actions, ("cases", n, "actions")) for n, one in enumerate(action.cases)]
            return [*cases, (action.otherwise, ("otherwise",))]
        case Delay() if action.until_event is not None:
            return [(action.until_event.timed_out, ("untilEvent", "timedOut"))]
        case _:
            return []


def _places(actions: Sequence[AnyAction], path: Path) -> Iterator[tuple[AnyAction, Path]]:
    for n, action in enumerate(actions):
        here = (*path, n, kind(action))
        yield action, here
        for inner, below in parts(action):
            yield from _places(inner, (*here, *below))


def problems(program: Program) -> Iterator[Problem]:
    """Targets that are not there, ids that are there twice, actions that nothing leads to, circles that never rest."""
    first: dict[str, int] = {}
    for node in program:
        if first.setdefault(node.action.id, node.n) != node.n:
            yield DuplicateActionId(id=node.action.id, path=(*node.path, "id"))
    for node in program:
        if isinstance(node.action, GoTo) and node.action.action not in first:
            yield UnknownTarget(action=node.action.action, path=(*node.path, "action"))
    reached = set[int]()
    rest = [0] if program else []
    while rest:
        n = rest.pop()
        if n not in reached:
            reached.add(n)
            rest += following(program[n])
    for node in program:
        if node.n not in reached:
            yield UnreachableAction(path=node.path)
    yield from _circles(program)


def following(node: Node) -> list[int]:
    """The numbers of all nodes that an enrollment can come to from this one."""
    always = isinstance(node.action, Branch | ValueBranch)
    return [n for n in (*node.ways, *(() if always else (node.next,))) if n is not None]


def _circles(program: Program) -> Iterator[Problem]:
    """Each jump that closes a circle in which nothing waits, told once. Depth first, without recursion."""
    done, standing = set[int](), set[int]()
    for start in range(len(program)):
        stack: list[tuple[int, Iterator[int]]] = []

        def enter(n: int, stack: list[tuple[int, Iterator[int]]] = stack) -> None:
            standing.add(n)
            resting = isinstance(program[n].action, Delay)
            stack.append((n, iter(() if resting else following(program[n]))))

        if start not in done:
            enter(start)
        while stack:
            n, ahead = stack[-1]
            follower = next(ahead, None)
            if follower is None:
                stack.pop()
                standing.discard(n)
                done.add(n)
            elif follower in standing:
                yield CircleWithoutDelay(action=program[follower].action.id, path=program[n].path)
            elif follower not in done:
                enter(follower)
