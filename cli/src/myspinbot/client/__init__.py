"""A typed client of MySpinBot, for programs with asyncio and without.

    from myspinbot.client import Basis, Client, Likeness, Statement

    with Client() as client:  # the system on this machine; or Client("https://host", token=…)
        mine = Statement(
            who="myself", basis=Basis.SELF, purpose="a greeting", covers=tuple(Likeness)
        )
        job = client.jobs.create(
            photos=["a.jpg", "b.jpg"], clip="me.wav", script="Hello!", consent=mine
        )
        for update in client.jobs.watch(job.job_id):
            print(f"{update.progress:.0%}")
        made = client.jobs.get(job.job_id).artifacts
        client.artifacts.save(made, "out")

`AsyncClient` has the same methods, to be awaited. Every method raises a ClientError with a
`cause` and a `remedy`: ApiError if the system refuses, UnreachableError if nobody answers.
"""

from contracts.consent import Basis, Likeness, Statement

from myspinbot.client.artifacts import file_names
from myspinbot.client.asynchronous import AsyncClient
from myspinbot.client.errors import (
    ApiError,
    ClientError,
    DamagedDownloadError,
    FileChangedError,
    NotRunningError,
    StrangeReplyError,
    UnreachableError,
)
from myspinbot.client.synchronous import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Basis",
    "Client",
    "ClientError",
    "DamagedDownloadError",
    "FileChangedError",
    "Likeness",
    "NotRunningError",
    "Statement",
    "StrangeReplyError",
    "UnreachableError",
    "file_names",
]
