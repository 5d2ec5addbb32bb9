"""What can be wrong with an export."""

from engine.problems import Problem


class MalformedColumn(Problem):
    """The column "{column}" is not understood; write a property, or TYPE.KEY (LABEL): companies.id (Billing)."""


class UnknownColumnLabel(Problem):
    """No label "{label}" leads from {object_type} to {to}; there are: {known}."""


class ColumnKeyNotUnique(Problem):
    """The property "{property}" of {object_type} cannot stand for records: name a unique one, or "id"."""


class ColumnRepeated(Problem):
    """The column "{column}" is asked for twice."""


class TooManyColumns(Problem):
    """An export has at most {limit} columns; {count} are asked for."""
