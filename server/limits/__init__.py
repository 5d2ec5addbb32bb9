"""What one request may ask for: found out from its document and its variables, before anything is run.

`shape` looks at a parsed document, before it is validated; `cost` at an operation of a valid one. Pure functions
over syntax trees: the same for HTTP, event streams and WebSockets, and for compiled and ordinary answers.
"""

from server.limits.cost import Weigher
from server.limits.problems import CostLimitExceeded
from server.limits.shape import check, check_tokens
from server.limits.values import Limits

__all__ = ["CostLimitExceeded", "Limits", "Weigher", "check", "check_tokens"]
