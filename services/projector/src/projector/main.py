"""The projector service: wired here, and nowhere else."""

from __future__ import annotations

from eventlog import rpc
from servicekit.service import Service, run
from servicekit.settings import SettingsError

from projector import collector
from projector.answers import Answers, Progress
from projector.database import open_database
from projector.errors import UnsupportedDatabaseError
from projector.follower import Follower
from projector.projections import ALL
from projector.settings import database_url


async def body(service: Service) -> None:
    """Follow the log and answer queries until told to stop."""
    try:
        database = open_database(database_url(service.environment))
    except UnsupportedDatabaseError as error:
        raise SettingsError(str(error)) from error
    try:
        async with service.broker("projector") as broker:
            progress = Progress()
            answers = Answers(database, ALL, progress)

            # Only now: another projector in the queue group may know more than we do.
            async def caught_up() -> None:
                await rpc.serve(broker, answers)

            follower = Follower(
                broker,
                database,
                ALL,
                progress=progress,
                readiness=service.readiness,
                caught_up=caught_up,
            )
            service.readiness.reached("start")
            await follower.run()
    finally:
        await database.close()


def main() -> None:
    """The entry point of `myspinbot-projector`."""
    collector.calm()
    run("projector", body)


if __name__ == "__main__":
    main()
