"""What can be wrong with connections and syncs, as people meet it."""

from engine.problems import NotFound, Problem


class UnknownApp(NotFound):
    """There is no app "{name}"; there are: {known}."""


class ConnectionNameTaken(Problem):
    """There is already a connection called "{name}"."""


class ConnectionInUse(Problem):
    """The connection "{name}" has syncs ({syncs}): delete them first."""


class ConnectionChanged(Problem):
    """The connection "{name}" was changed by somebody else meanwhile; look at it, then try again."""


class SettingMissing(Problem):
    """The app "{app}" needs the setting "{setting}": {about}"""


class SettingUnknown(Problem):
    """The app "{app}" has no setting "{setting}"; it has: {known}."""


class SettingNotPossible(Problem):
    """The setting "{setting}" must be one of {options}."""


class ConnectionRefused(Problem):
    """The app "{app}" did not accept the connection ({category}): {reason}"""


class SecretKeyMissing(Problem):
    """Credentials cannot be kept: there is no key to seal them. Set RELATA_SECRET_KEY, the same on all machines."""


class SecretsUnreadable(Problem):
    """The connection's credentials cannot be read with the present key.

    Set the RELATA_SECRET_KEY that they were sealed with, or enter them again.
    """


class UnknownRemoteObject(Problem):
    """The connection "{connection}" knows no object "{name}"; it has: {known}."""


class SyncExists(Problem):
    """{object_type} are synced with "{remote}" of this connection already: there can be one such sync."""


class SyncRunning(Problem):
    """The sync has been started already; turn it on or off instead."""


class SyncNotStarted(Problem):
    """The sync was never started: start it first."""


class SyncBroken(Problem):
    """The sync cannot run: {reason}"""


class StaleSync(Problem):
    """The sync was changed since revision {read}: it is at {revision} now. Read it again."""


class ConnectionBroken(Problem):
    """The connection "{name}" does not work: {reason} Mend it first."""


class NothingMapped(Problem):
    """No mapping is switched on: map at least one property to a field."""


class UnknownField(Problem):
    """ "{object}" has no field "{field}"."""


class UnknownMappedProperty(Problem):
    """{object_type} have no property "{property}"."""


class MappedPropertyArchived(Problem):
    """The property "{property}" is archived: it is not kept in sync."""


class MappingDoesNotFit(Problem):
    """ "{property}" and "{field}" cannot be mapped like that: {reason}."""


class MappingRepeated(Problem):
    """ "{property}" and "{field}" are mapped twice."""


class WrittenTwice(Problem):
    """Two mappings would write "{name}": of those that are switched on, one alone may."""


class UnknownOption(Problem):
    """ "{name}" has no option "{option}"."""


class OptionsNotMappable(Problem):
    """Only choices have options that can be mapped; "{property}" is {type}."""


class UnknownSyncLabel(Problem):
    """There is no label "{label}" from {object_type} to {to}."""


class UnknownRole(Problem):
    """ "{object}" has no role "{role}"; it has: {known}."""


class RoleDoesNotFit(Problem):
    """The role "{role}" cannot be mapped like that: {reason}."""


class RoleRepeated(Problem):
    """The role "{role}" or its label is mapped twice."""


class MatcherDoesNotFit(Problem):
    """Records are not found by "{property}": {reason}."""


class DirectionNotPossible(Problem):
    """The app cannot do that: {reason}."""


class OptionNotPossible(Problem):
    """The option "{option}" is not possible: {reason}."""


class MalformedSync(Problem):
    """The definition is not as it should be: {reason}."""
