"""`python -m projector.archive`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

from servicekit.settings import Environment, SettingsError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from projector.archive import ArchiveError, Dump, Probe, Sameness, postgresql, sqlite
from projector.errors import ProjectorError
from projector.settings import database_url


async def _work(options: argparse.Namespace) -> Dump | Probe:
    try:
        url = database_url(Environment.current())
    except SettingsError as error:
        raise ArchiveError(
            f"No database is named: {error}.", "Set MYSPINBOT_DATABASE_URL."
        ) from error
    in_file = make_url(url).get_backend_name() == sqlite.KIND
    if options.verb == "probe":
        return await (sqlite.probe if in_file else postgresql.probe)(url)
    if options.verb == "dump":
        options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await (sqlite.dump if in_file else postgresql.dump)(url, options.folder)
    same = Sameness(options.from_log, options.to_log)
    return await (sqlite.load if in_file else postgresql.load)(url, options.folder, same)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m projector.archive")
    verbs = parser.add_subparsers(dest="verb", required=True)
    dump = verbs.add_parser("dump")
    dump.add_argument("folder", type=Path)
    load = verbs.add_parser("load")
    load.add_argument("folder", type=Path)
    load.add_argument("--from-log", type=datetime.fromisoformat, required=True)
    load.add_argument("--to-log", type=datetime.fromisoformat, required=True)
    verbs.add_parser("probe")
    return parser.parse_args()


def main() -> int:
    """Do it, and answer on standard output."""
    options = _arguments()
    try:
        answer = asyncio.run(_work(options)).document()
    except ArchiveError as error:
        answer = {"error": error.cause, "remedy": error.remedy}
    except (ProjectorError, SQLAlchemyError, OSError) as error:
        remedy = "Check MYSPINBOT_DATABASE_URL, that the database runs, and that there is room."
        answer = {"error": f"The database cannot be copied: {error}", "remedy": remedy}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
