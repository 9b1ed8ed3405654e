"""Makes projections anew from the log, beside those that answer, and switches to them."""

from __future__ import annotations

import sys
from typing import Any

from projector import collector
from projector import report as told
from projector.rebuild.job import rebuild_job
from projector.rebuild.old import drop_old
from projector.rebuild.whole import Rebuilt, rebuild


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = told.parser(__doc__)
    parser.add_argument("--job", metavar="ID", help="only the rows of this job")
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew where an earlier one was interrupted"
    )
    parser.add_argument(
        "--drop-old",
        action="store_true",
        help="drop the tables of versions that this program does not know; an older projector "
        "that still runs can answer no more",
    )
    given = parser.parse_args(arguments)
    if not given.projection and not given.drop_old:
        parser.error("name a --projection, or --drop-old")
    if given.job and given.fresh:
        parser.error("--fresh is not for --job, which has nothing to go on from")
    collector.calm()
    report = told.Report(as_json=given.progress == "json", words=_words)

    async def work() -> int:
        projections = told.chosen(given.projection)
        async with told.opened() as (broker, database):
            for one in projections:
                if given.job:
                    done = await rebuild_job(broker, database, one, given.job)
                else:
                    tell = report.steps(projection=one.name)
                    done = await rebuild(broker, database, one, fresh=given.fresh, tell=tell)
                report.tell(_line(done))
            if given.drop_old:
                report.tell({"dropped": await drop_old(database)})
        return told.DONE

    return told.run("rebuild", report, work)


def _line(done: Rebuilt) -> dict[str, Any]:
    return {
        "projection": done.projection,
        "done": True,
        "position": done.position,
        "events": done.events,
        "written": done.written,
        "removed": done.removed,
        "seconds": round(done.seconds, 3),
    }


def _words(line: dict[str, Any]) -> str:
    if "dropped" in line:
        return f"dropped: {', '.join(line['dropped']) or 'nothing'}"
    if "done" in line:
        return (
            f"{line['projection']}: done at event {line['position']:,}; {line['written']:,} rows "
            f"were written and {line['removed']:,} removed, in {line['seconds']:.1f} s"
        )
    left = "" if line["etaS"] is None else f", {line['etaS']:.0f} s left"
    return (
        f"{line['projection']}: event {line['position']:,} of {line['end']:,}, "
        f"{line['eventsPerS']:,} events/s{left}"
    )


if __name__ == "__main__":
    sys.exit(main())
