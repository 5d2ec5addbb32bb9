"""Exports: records of a query or a segment as a file, with what is associated; an import reads it back as it was."""
