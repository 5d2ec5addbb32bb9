"""An executor that lets finished JSON pass: a field may return an `orjson.Fragment` in place of its value."""

from typing import Any

import orjson
from graphql.execution import Executor
from graphql.type import GraphQLOutputType, GraphQLResolveInfo


class SplicingExecutor(Executor[Any]):
    """For `execute(..., executor_class=SplicingExecutor)`.

    Answers may hold fragments: they are encoded by `orjson.dumps`, and by nothing else.
    """

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Any,
        info: GraphQLResolveInfo[Any],
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """A fragment as it is; everything else as ever."""
        if type(result) is orjson.Fragment:
            return result
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)
