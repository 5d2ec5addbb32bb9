"""Why an association or a label is refused."""

from engine.ids import encode
from engine.problems import NotFound, Problem


class UnknownLabel(Problem):
    """There is no label "{label}" from {from_type} to {to_type}; there are: {known}."""


class LabelsMissing(Problem):
    """Name at least one label."""


class LabelsNotWanted(Problem):
    """Dissociating removes every label; to remove some of them and keep the rest, remove those labels."""


class SelfAssociation(Problem):
    """The record "{record}" cannot be associated with itself."""


class RecordArchived(Problem):
    """The record "{record}" is archived; restore it first."""


class LabelsExclusive(Problem):
    """The label "{label}" cannot stand beside "{other}": they are of one exclusivity group ("{group}")."""


class AssociationLimitReached(Problem):
    """The record "{record}" already has {counted}; the limit is {limit}: {records}."""


class LabelLimitReached(Problem):
    """ "{record}" already has {counted} under the label "{label}"; the limit is {limit}: {records}."""


class AssociationRemoved(Problem):
    """The association of "{record}" with "{other}" no longer fits and was removed: {reason}"""


class LabelRemoved(Problem):
    """The label "{label}" between "{record}" and "{other}" no longer fits and was removed: {reason}"""


def unknown(record_id: int) -> NotFound:
    """The record that is not there."""
    return NotFound(kind="record", name=encode("record", record_id))


def archived(record_id: int) -> RecordArchived:
    """The record that is archived."""
    return RecordArchived(record=encode("record", record_id))
