"""A plain dlt pipeline: one table of a database into another; what it took, as JSON.

    python pipeline.py SOURCE DESTINATION TABLE plain|fast PIPELINES_FOLDER

`plain` is what its documentation begins with: rows through SQLAlchemy, normalised, loaded by INSERT. `fast` is what it
advises for much data: pages of Arrow tables, loaded by COPY of CSV files. Importing it is not counted.
"""

import json
import resource
import sys
import time

import dlt  # type: ignore[import-not-found]
from dlt.sources.sql_database import sql_table  # type: ignore[import-not-found]


def used() -> float:
    """Processor time of this process and of those that it had."""
    return sum(
        one.ru_utime + one.ru_stime
        for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Run it once, from nothing."""
    source, destination, table, way, folder = sys.argv[1:]
    fast = way == "fast"
    pipeline = dlt.pipeline(
        f"bench_{way}",
        pipelines_dir=folder,
        destination=dlt.destinations.postgres(destination),
        dataset_name=f"loaded_{way}",
        dev_mode=True,
    )
    rows = sql_table(
        source.replace("postgresql:", "postgresql+psycopg2:"),
        table=table,
        chunk_size=50_000,
        backend="pyarrow" if fast else "sqlalchemy",
    )
    before, began = used(), time.perf_counter()
    info = pipeline.run(rows, loader_file_format="csv" if fast else None, write_disposition="append")
    took = time.perf_counter() - began
    info.raise_on_failed_jobs()
    steps = {
        one.step: (one.finished_at - one.started_at).total_seconds()
        for one in pipeline.last_trace.steps
        if one.finished_at is not None
    }
    with pipeline.sql_client() as client:
        ((count,),) = client.execute_sql(f'SELECT count(*) FROM "{table}"')
    print(json.dumps({"seconds": took, "cpu": used() - before, "rows": count, "steps": steps}))


if __name__ == "__main__":
    main()
