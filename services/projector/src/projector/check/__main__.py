"""Compares the views with what the log says, row by row, and changes nothing."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from projector import report as told
from projector.check.comparison import Difference
from projector.check.views import check
from projector.projections import ALL


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    given = told.parser(__doc__).parse_args(arguments)
    report = told.Report(as_json=given.progress == "json", words=_words)

    def differ(difference: Difference) -> None:
        report.tell({"difference": asdict(difference)})

    async def work() -> int:
        projections = told.chosen(given.projection) or ALL
        began = time.monotonic()
        async with told.opened() as (broker, database):
            checked = await check(broker, database, projections, differ=differ, tell=report.steps())
        for one in checked:
            report.tell(asdict(one))
        differences = sum(one.differences for one in checked)
        report.tell(
            {
                "done": True,
                "rows": sum(one.rows for one in checked),
                "differences": differences,
                "seconds": round(time.monotonic() - began, 3),
            }
        )
        return told.FAILED if differences else told.DONE

    return told.run("check", report, work)


def _words(line: dict[str, Any]) -> str:
    if "difference" in line:
        found = line["difference"]
        key = json.dumps(found["key"], default=str)
        if found["column"] is None:
            what = "is not in the log" if found["rebuilt"] is None else "is missing"
            return f"{found['table']} {key} {what}"
        return (
            f"{found['table']} {key}: {found['column']} is {found['live']!r} and should be "
            f"{found['rebuilt']!r}"
        )
    if "done" in line:
        return (
            f"{line['rows']:,} rows, {line['differences']:,} differences, "
            f"in {line['seconds']:.1f} s"
        )
    if "projection" in line:
        return (
            f"{line['projection']} version {line['version']} at event {line['position']:,}: "
            f"{line['rows']:,} rows, {line['differences']:,} differences"
        )
    left = "" if line["etaS"] is None else f", {line['etaS']:.0f} s left"
    return f"event {line['position']:,} of {line['end']:,}, {line['eventsPerS']:,} events/s{left}"


if __name__ == "__main__":
    sys.exit(main())
