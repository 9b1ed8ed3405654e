"""Our dashboards as code; run it to write them as Grafana reads them, into generated/.

python -m deploy.grafana.dashboards
"""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards.http import http
from deploy.grafana.boards.jobs import jobs
from deploy.grafana.boards.overview import overview
from deploy.grafana.boards.queue import queue
from deploy.grafana.boards.runners import runners
from deploy.grafana.boards.traces import traces

GENERATED = Path(__file__).parent / "generated"


def documents() -> dict[str, str]:
    """The JSON of each dashboard by the name of its file."""
    boards = (overview(), jobs(), runners(), queue(), http(), traces())
    built = [board.build() for board in boards]
    return {
        f"{one.uid}.json": JSONEncoder(sort_keys=True, indent=2).encode(one) + "\n" for one in built
    }


if __name__ == "__main__":
    GENERATED.mkdir(exist_ok=True)
    for name, text in documents().items():
        (GENERATED / name).write_text(text)
