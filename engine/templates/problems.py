"""What can be wrong with a template."""

from engine.problems import Problem


class MalformedTemplate(Problem):
    """The template cannot be read at line {line}: {reason}."""


class TemplateTooLong(Problem):
    """The text made from this template has more than {limit} characters: shorten it, or what it puts in."""
