"""Replays the world of one seed, or explores many.

python -m tests.simulation --seed N [--trace]
python -m tests.simulation --soak SEEDS [--first N] [--jobs N] [--state FILE]

A soak uses all processors, prints each seed in whose world something did not hold, and goes on
where an earlier one with the same state file has stopped. Exit status: 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.simulation.soak import Soak
from tests.simulation.tracing import Trace, hush
from tests.simulation.world import explore


def main() -> int:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="the world to replay")
    what.add_argument("--soak", type=int, metavar="SEEDS", help="how many worlds to explore")
    parser.add_argument("--trace", action="store_true", help="tell all that happens")
    parser.add_argument("--first", type=int, default=1, help="the first seed of a soak")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--state", type=Path, help="keeps how far a soak is")
    given = parser.parse_args()
    if given.soak is not None:
        return 1 if Soak(given.first, given.soak, given.state).run(given.jobs) else 0
    trace = Trace(print if given.trace else None)
    if given.trace:
        trace.hear_services()
    else:
        hush()
    outcome = explore(given.seed, trace)
    print(
        f"seed {outcome.seed}: {outcome.violation or 'all holds'} "
        f"({outcome.events} events in {outcome.simulated_s:.0f} simulated s)"
    )
    return 1 if outcome.violation else 0


if __name__ == "__main__":
    sys.exit(main())
