"""The same source into the same server with dlt, as fast as its own settings make it.

Run by `rows.py` with the Python of an environment of its own (`requirements.lock` beside this
folder), so nothing of this project can be imported here.

What was chosen: one window of time a resource, extracted in parallel; orjson; `_data` kept as
JSON, not taken apart into tables; CSV files, which dlt loads by COPY; two processes to normalise;
`upsert` as the way to merge. What dlt does not do here: archive, identities, sessions, checks.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": "4",
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__START_METHOD": "spawn",
    "LOAD__WORKERS": "4",
    "EXTRACT__DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "50000",
    "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "50000",
}

PAGE = 500
JSON_COLUMNS = ("_data", "media", "location", "v_cards", "reply_to")


def main() -> None:
    """Import everything, and say how long it took."""
    import dlt
    import orjson
    import requests

    task = json.loads(sys.argv[1])
    session = requests.Session()
    session.headers["X-Api-Key"] = task["key"]

    def pages(start: int, end: int):  # type: ignore[no-untyped-def]
        offset = 0
        while True:
            answer = session.get(
                f"{task['url']}/api/default/chats/all/messages",
                params={
                    "limit": PAGE,
                    "offset": offset,
                    "downloadMedia": "false",
                    "merge": "false",
                    "sortOrder": "asc",
                    "filter.timestamp.gte": start,
                    "filter.timestamp.lte": end - 1,
                },
            )
            answer.raise_for_status()
            rows = orjson.loads(answer.content)
            if not rows:
                return
            yield rows
            offset += PAGE

    resources = [
        dlt.resource(
            pages,
            name=f"window_{number}",
            table_name="messages",
            primary_key="id",
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            max_table_nesting=0,
            parallelized=True,
            columns={name: {"data_type": "json"} for name in JSON_COLUMNS},
        )(start, end)
        for number, (start, end) in enumerate(task["windows"])
    ]
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=task["folder"],
        destination=dlt.destinations.postgres(task["database"]),
        dataset_name="with_dlt",
    )
    began = time.perf_counter()
    pipeline.run(resources, loader_file_format="csv")
    seconds = time.perf_counter() - began
    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT count(*) FROM messages")[0][0]
    print(json.dumps({"seconds": seconds, "rows": rows, "dlt": dlt.__version__}), flush=True)


if __name__ == "__main__":
    main()
