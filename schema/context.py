"""What `info` is in our resolvers."""

from typing import Any, TypeAlias

import strawberry

from resolvers.context import Context

Info: TypeAlias = strawberry.Info[Context, Any]
