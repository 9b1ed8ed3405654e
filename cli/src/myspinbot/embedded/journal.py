"""The supervisor's own log: one JSON object a line, like the logs of the services."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self


class Journal:
    """A log file, open for as long as the context lasts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def tell(self, event: str, **fields: object) -> None:
        """Write a line; what comes after the context has ended is dropped."""
        if self._file is None:
            return
        stamp = datetime.now(UTC).isoformat()
        line = {"event": event, "timestamp": stamp, "service": "supervisor", **fields}
        print(json.dumps(line), file=self._file, flush=True)
