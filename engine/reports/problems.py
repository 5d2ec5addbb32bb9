"""What can be wrong with a report."""

from engine.problems import Problem


class MalformedReport(Problem):
    """A report is an object with {expected} here; got {value}."""


class TooManyParts(Problem):
    """A report has at most {limit} {part}."""


class UnknownSource(Problem):
    """No source is called "{source}"; sources are {known}."""


class SourceTwice(Problem):
    """Two sources are called "{source}"; name each join otherwise, with "as"."""


class NoLabelOfPrimary(Problem):
    """The primary object type is joined by no label; name the source of a join."""


class PropertyDoesNotSuit(Problem):
    """The property "{property}" is of type {type}; {wanted}."""


class MeasureNeedsProperty(Problem):
    """{function} is made of a property of its source: name one."""


class MeasureWithoutProperty(Problem):
    """COUNT counts records; to count the values of a property, ask for DISTINCT."""


class UnknownMeasure(Problem):
    """There is no measure number {measure}; they are counted from 0, and there are {count}."""


class ReportNameTaken(Problem):
    """There is already a report called "{name}"."""


class StaleReport(Problem):
    """The report has been changed since version {read}: it is at version {version} now. Read it again."""


class TooManyReports(Problem):
    """An account has at most {limit} saved reports; delete one first."""


class ReportBroken(Problem):
    """The report "{name}" names what is not there (any more): {reason}"""


class ReportChartTooLarge(Problem):
    """A chart of {categories} categories in {series} series has {count} values, more than {limit}.

    Ask for `rows` alone, or for the top of an axis.
    """


class ReportTooLarge(Problem):
    """This report has more than {limit} groups; choose coarser axes, or the top of one."""
