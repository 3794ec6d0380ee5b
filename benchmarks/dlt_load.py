"""
The part of the dlt peer that runs in dlt's own environment: FILE, URL and WORK folder in, schema dlt_items out.

`records` is the way of dlt's documentation (filesystem source, read_csv), `arrow` hands it whole Arrow tables.
Imports nothing of ours.
"""

import os
import sys
from pathlib import Path

CHUNK_ROWS = 10_000


def main() -> None:
    """Load the file as text into dlt_items.items."""
    way, file, url, work = sys.argv[1:]
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": work, "RUNTIME__LOG_LEVEL": "ERROR"}
    import dlt  # type: ignore[import-not-found]  # noqa: PLC0415  # after its settings
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv as arrow_csv  # noqa: PLC0415
    from dlt.sources.filesystem import filesystem, read_csv  # type: ignore[import-not-found]  # noqa: PLC0415

    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.postgres(url), dataset_name="dlt_items", pipelines_dir=work
    )
    path = Path(file)
    if way == "records":
        found = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name)
        rows = found | read_csv(chunksize=CHUNK_ROWS, dtype=str, keep_default_na=False)
        pipeline.run(rows.with_name("items"), write_disposition="append")
        return

    @dlt.resource(name="items", write_disposition="append")
    def items():  # type: ignore[no-untyped-def]  # dlt reads no hints here
        reader = arrow_csv.open_csv(file)
        types = dict.fromkeys(reader.schema.names, pa.string())
        yield from (
            pa.Table.from_batches([batch])
            for batch in arrow_csv.open_csv(file, convert_options=arrow_csv.ConvertOptions(column_types=types))
        )

    pipeline.run(items(), loader_file_format="csv")


if __name__ == "__main__":
    main()
