"""What can be wrong with a file as a whole (nothing is imported), and with one of its rows (the others are)."""

from engine.problems import Problem


class FileUnreadable(Problem):
    """The file cannot be read: {reason}."""


class FileChanged(Problem):
    """The file changed while it was read; rows that are in: {rows}. Import it again when nobody writes it."""


class FileInflates(Problem):
    """The file is packed so tightly that it is taken for a trap: {what} would grow to {size} bytes. Send plain CSV."""


class UploadOvertaken(Problem):
    """Another upload of this import's file has begun meanwhile; that one counts."""


class FileTooLarge(Problem):
    """The file has more than {limit} bytes: split it, and import its parts one by one."""


class HeaderMissing(Problem):
    """The file has no header: its first line must name the columns."""


class ColumnMissing(Problem):
    """The file has no column "{column}"; it has: {columns}."""


class ColumnTwice(Problem):
    """The column "{column}" stands twice in the header."""


class UnknownColumn(Problem):
    """The column "{column}" names no property of {object_type}; rename it, leave it out, or create the property."""


class ReadOnlyColumn(Problem):
    """The column "{column}" names a property of {object_type} that cannot be written."""


class PropertyMissing(Problem):
    """Object type "{object_type}" has no property "{property}", which the column "{column}" is to fill."""


class PropertyTwice(Problem):
    """Two columns fill the property "{property}" of {object_type}: "{column}" and "{other}"."""


class KeyNotUnique(Problem):
    """The property "{property}" of {object_type} cannot tell records apart: choose one whose values are unique."""


class MalformedPlan(Problem):
    """The plan is not understood here: {reason}."""


class PlanMissing(Problem):
    """This import has no plan yet: say which columns fill what."""


class UnknownPart(Problem):
    """The plan has no part "{part}"; it has: {parts}."""


class UnknownFormat(Problem):
    """The format "{format}" does not fit the property "{property}": {expected}."""


class ImportNotReady(Problem):
    """This import is {status}; to {verb} it, it must be one of: {wanted}."""


class FormulaWithoutValue(Problem):
    """This cell holds a formula without its value; open the file in a spreadsheet program and save it."""


class FormulaFailed(Problem):
    """This cell holds a formula that failed: {value}."""


class RowNotUtf8(Problem):
    """This row is not UTF-8; save the file as UTF-8."""


class RowUndecodable(Problem):
    """This row is not {encoding}; save the file as UTF-8, or state the encoding that it has."""


class RowMalformed(Problem):
    """This row is not CSV: {reason}."""


class RaggedRow(Problem):
    """Cells in this row: {count}; in the header: {expected}."""


class HeaderRepeated(Problem):
    """This row repeats the header; were two files joined?"""


class KeyMissing(Problem):
    """This row has no value for the key "{column}"."""


class DuplicateInFile(Problem):
    """The key "{value}" has been in row {first} already."""


class ConflictInFile(Problem):
    """The record that this row is about has been in row {first} already, with another value: {held}."""


class UnknownKey(Problem):
    """There is no record of {object_type} whose {property} is "{value}"."""


class UnknownLabel(Problem):
    """There is no label "{label}" from {from_type} to {to_type}; there are: {known}."""


class LabelOtherDirection(Problem):
    """The label "{label}" stands at {to_type}; at {from_type}, where this file reads it, it is called "{inverse}"."""


class AmbiguousLabel(Problem):
    """Several labels from {from_type} to {to_type} are called "{label}"; use the internal name: {names}."""
