"""Events as a Parquet table, for DuckDB, pandas, Spark and the like (docs/adr/0017).

Needs the extra `parquet`. The columns are the attributes of the event; `data` is the event itself
as JSON. What is about the file stands in its key-value metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from myspinbot.errors import MISUSED, CommandError

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise CommandError(
        "Parquet files need the library pyarrow, which is not installed.",
        "Install it with `pip install 'myspinbot[parquet]'`, or export as .jsonl.",
        MISUSED,
    ) from error

_METADATA = b"myspinbot"
_ROWS = 5_000
_TEXTS = (
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "traceparent",
    "chain",
    "specversion",
)
_COLUMNS = ("sequence", "at", *_TEXTS, "others", "data")
SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        # The same as `time`, which is kept as it was written: it is part of what is hashed.
        pa.field("at", pa.timestamp("us", tz="UTC")),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        pa.field("others", pa.map_(pa.string(), pa.string())),
        pa.field("data", pa.string(), nullable=False),
    ]
)
_KNOWN = frozenset(("sequence", "data", "datacontenttype", *_TEXTS))


class CutTableError(ValueError):
    """The file has no end, or is no Parquet file at all."""


class ParquetRows:
    """Writes rows in groups, so that memory stays flat."""

    def __init__(self, file: IO[bytes]) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, event: Mapping[str, Any]) -> None:
        """Add an event."""
        self._rows.append(_row(event))
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def close(self, about: list[Mapping[str, Any]]) -> None:
        """End with the entries that are about the file itself."""
        self._flush()
        self._writer.add_key_value_metadata({_METADATA: json.dumps(about).encode()})
        self._writer.close()


def read_rows(file: IO[bytes]) -> Iterator[Any]:
    """The entries of a file that `ParquetRows` has written; CutTableError if it has no end."""
    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise CutTableError(str(error)) from error
    missing = set(_COLUMNS) - set(table.schema_arrow.names)
    if missing:
        raise ValueError(f"it is no table of events: it has no column {min(missing)}")
    try:
        for batch in table.iter_batches(_ROWS, columns=list(_COLUMNS)):
            for row in batch.to_pylist():
                yield _event(row)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"its table is damaged: {error}") from error
    about = (table.schema_arrow.metadata or table.metadata.metadata or {}).get(_METADATA)
    yield from json.loads(about) if about else ()


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in event.items() if name not in _KNOWN}
    return {
        "sequence": int(event["sequence"]),
        "at": _moment(event.get("time")),
        **{name: event.get(name) for name in _TEXTS},
        "others": list(others.items()) or None,
        "data": json.dumps(event["data"], separators=(",", ":"), ensure_ascii=False),
    }


def _moment(text: str | None) -> datetime | None:
    """The time in UTC; none for what is no time, which stands in `time` all the same."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo is not None else None


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {name: row[name] for name in _TEXTS if row[name] is not None}
    return {
        **attributes,
        **dict(row["others"] or ()),
        "datacontenttype": "application/json",
        "sequence": str(row["sequence"]),
        "data": json.loads(row["data"]),
    }
