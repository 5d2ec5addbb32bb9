"""Limits that a request can go beyond, each with what it asked for."""

from engine.problems import Problem


class DepthLimitExceeded(Problem):
    """The document nests {depth} levels of fields; at most {limit} are taken. Ask for less in one request."""


class AliasLimitExceeded(Problem):
    """The document has {aliases} aliases; at most {limit} are taken. Ask for less in one request."""


class RepetitionLimitExceeded(Problem):
    """The document repeats fields {repetitions} times beside themselves; at most {limit} are taken."""


class DirectiveLimitExceeded(Problem):
    """The document has {directives} directives{place}; at most {limit} are taken. Send fewer."""


class TokenLimitExceeded(Problem):
    """The document has more than {limit} tokens. Send less, or in parts."""


class FieldLimitExceeded(Problem):
    """The operation asks for more than {limit} fields, those of fragments wherever they are spread. Ask for less."""


class CostLimitExceeded(Problem):
    """The operation may cost {cost}; at most {limit} is taken. Ask for smaller pages, or for less below them."""
