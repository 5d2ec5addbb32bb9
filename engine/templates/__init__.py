"""Templates: words with places for values of a record and of those associated with it.

`parse` reads one and says what it needs, `check` whether that is there, `values_for` fetches it for a whole batch,
`render` puts it in. A template can name values and choose between words; it can call nothing and reach nothing else.
"""

from engine.templates.checking import check
from engine.templates.problems import MalformedTemplate, TemplateTooLong
from engine.templates.reading import Reference, Template, parse
from engine.templates.values import Values, values_for

__all__ = [
    "MalformedTemplate",
    "Reference",
    "Template",
    "TemplateTooLong",
    "Values",
    "check",
    "parse",
    "values_for",
]
