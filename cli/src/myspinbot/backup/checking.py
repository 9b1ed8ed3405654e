"""Checks a restored installation: the log against its hash chains, objects and views against it."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from eventlog.broker import connect
from servicekit.objects import open_store

from myspinbot.backup.installation import Installation, at_home
from myspinbot.backup.making import understood
from myspinbot.counting import counting
from myspinbot.embedded import stack
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED, CommandError
from myspinbot.exchange.checking import Evidence, check_log
from myspinbot.exchange.notary import own_key
from myspinbot.screen import counted


async def check_home(home: Home, *, with_views: bool) -> list[str]:
    """What a check of a home that rests has found to be right; CommandError if anything is not."""
    async with stack.kept_running(home, stack.storage) as note:
        installation = at_home(home, note)
        return await check(installation, Evidence((own_key(home),)), with_views=with_views)


async def check(installation: Installation, evidence: Evidence, *, with_views: bool) -> list[str]:
    """What a check of an installation has found to be right; CommandError if anything is not."""
    told = [await _log(installation, evidence)]
    if with_views:
        told.append(await _views(installation))
    return told


async def _log(installation: Installation, evidence: Evidence) -> str:
    with understood():
        broker = await connect(installation.broker)
        try:
            async with open_store(installation.store) as store:
                with counting("Check the log") as told:
                    report = await check_log(broker, evidence, store, told)
        finally:
            await broker.close()
    if report.errors:
        first = next(each for each in report.findings if each.severity == "error")
        raise CommandError(
            f"All of the backup was restored, and its log has {counted(report.errors, 'fault')}; "
            f"the first: {first.what}.",
            "They were there when the backup was made: `myspinbot events verify` lists them and "
            "says what to do.",
            FAILED,
        )
    return f"The log holds {report.tally.events} events, each as it was told."


async def _views(installation: Installation) -> str:
    seed = installation.broker.seed_file
    settings = {
        "MYSPINBOT_NATS_URL": installation.broker.url,
        "MYSPINBOT_DATABASE_URL": installation.views or "",
        **({"MYSPINBOT_NATS_SEED": str(seed)} if seed else {}),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "projector.check",
        "--progress",
        "json",
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    last = json.loads((out.decode().splitlines() or ["{}"])[-1])
    if process.returncode or not last.get("done"):
        found = last.get("error") or f"{last.get('differences', 'some')} rows differ"
        raise CommandError(
            f"All of the backup was restored, and its views are not what the log says: {found}.",
            "Make them anew from the log: `myspinbot replay --projection NAME`.",
            FAILED,
        )
    return f"The views hold {last['rows']} rows, each as the log says."
