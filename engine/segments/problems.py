"""Why something about a segment is refused."""

from engine.problems import Problem


class SegmentNameTaken(Problem):
    """There is already a segment called "{name}"."""


class StaleSegment(Problem):
    """The segment has been changed since version {read}: it is at version {version} now. Read it again."""


class FilterMissing(Problem):
    """A segment of kind {kind} needs a filter."""


class FilterNotWanted(Problem):
    """The members of a static segment are chosen by hand; it has no filter."""


class SegmentNotByHand(Problem):
    """The members of "{name}" follow its filter; records are added to static segments only."""


class SegmentKindFixed(Problem):
    """A segment of kind {kind} cannot become {wanted}; only an active one can become static."""


class SegmentCircle(Problem):
    """The filter leads in a circle: {circle}."""


class SegmentUsed(Problem):
    """The segment "{name}" is used by {uses}; remove it there first."""


class OtherObjectType(Problem):
    """The record "{record}" is one of {object_type}; the segment "{name}" holds {wanted}."""


class RecordGone(Problem):
    """The record "{record}" is archived; restore it first."""
