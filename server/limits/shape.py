"""The shape of a parsed document: how deep it is, how often it repeats itself. It need not be valid.

Checked before validation, since the time that validation takes grows with the square of some of these.
"""

from collections import Counter
from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Lexer,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    TokenKind,
)

from server.limits.problems import (
    AliasLimitExceeded,
    DepthLimitExceeded,
    DirectiveLimitExceeded,
    RepetitionLimitExceeded,
    TokenLimitExceeded,
)
from server.limits.values import Limits

# No sense needs more beside each other; there are three directives for queries.
DIRECTIVES_IN_ONE_PLACE = 5


def check(document: DocumentNode, limits: Limits) -> None:
    """Raise the problem of a document that goes beyond a limit."""
    aliases = repetitions = directives = 0
    for node in _nodes(document):
        found = len(getattr(node, "directives", None) or ())
        if found > DIRECTIVES_IN_ONE_PLACE:
            raise DirectiveLimitExceeded(
                directives=found, place=" in one place", limit=DIRECTIVES_IN_ONE_PLACE
            )
        directives += found
        if isinstance(node, FieldNode):
            aliases += node.alias is not None
        elif isinstance(node, SelectionSetNode):
            repetitions += _repetitions(node)
    if aliases > limits.aliases:
        raise AliasLimitExceeded(aliases=aliases, limit=limits.aliases)
    # Asking for the same again is what aliases do, only for nothing.
    if repetitions > limits.aliases:
        raise RepetitionLimitExceeded(repetitions=repetitions, limit=limits.aliases)
    if directives > limits.directives:
        raise DirectiveLimitExceeded(directives=directives, place="", limit=limits.directives)
    deepest = depth(document)
    if deepest > limits.depth:
        raise DepthLimitExceeded(depth=deepest, limit=limits.depth)


def check_tokens(text: str, limits: Limits) -> None:
    """Raise `TokenLimitExceeded`, where a text has more tokens than are read."""
    lexer = Lexer(Source(text))
    try:
        for _ in range(limits.tokens + 1):
            if lexer.advance().kind is TokenKind.EOF:
                return
    except GraphQLError:
        return
    raise TokenLimitExceeded(limit=limits.tokens)


def depth(document: DocumentNode) -> int:
    """The deepest level of fields of any operation, fragments counted where they are spread."""
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, int] = {}
    return max(
        (
            _depth(node.selection_set, fragments, known)
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        ),
        default=0,
    )


def _depth(
    selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], known: dict[str, int]
) -> int:
    deepest = 0
    for node in selections.selections:
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in known:
                # A fragment that spreads itself finds this; validation refuses it.
                known[name] = 0
                if name in fragments:
                    known[name] = _depth(fragments[name].selection_set, fragments, known)
            found = known[name]
        else:
            below = getattr(node, "selection_set", None)
            found = _depth(below, fragments, known) if below else 0
            found += isinstance(node, FieldNode)
        deepest = max(deepest, found)
    return deepest


def _nodes(document: DocumentNode) -> Iterator[Node]:
    """Everything that can bear a directive, and all selections."""
    waiting: list[Node] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, SelectionSetNode):
            waiting.extend(node.selections)
        else:
            waiting.extend(getattr(node, "variable_definitions", None) or ())
            below = getattr(node, "selection_set", None)
            if below:
                waiting.append(below)


def _repetitions(selections: SelectionSetNode) -> int:
    """How many selections stand beside another one of the same name."""
    names = Counter(
        node.alias.value if isinstance(node, FieldNode) and node.alias else node.name.value
        for node in selections.selections
        if isinstance(node, FieldNode | FragmentSpreadNode)
    )
    return names.total() - len(names)
