"""What the planner would decide otherwise today, so that a person sees it at a glance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.text import Text

_ABSENT = object()
_NOT_SAID = ("type", "version", "stage")

Event = Mapping[str, Any]


def difference_lines(difference: Mapping[str, Any]) -> Iterator[Text]:
    """A difference as `planner.replay` tells it: where it was, what was decided, what would be."""
    where = f"Job {difference['job']}, after event {difference['sequence']}"
    yield Text(f"{where}, at {difference['time']}", "bold")
    recorded: Sequence[Event] = difference["recorded"]
    today: Sequence[Event] = difference["today"]
    if not recorded:
        yield Text("  nothing was decided", "dim")
    if not today:
        yield Text("  nothing would be decided today", "dim")
    for then, now in zip_longest(recorded, today):
        yield from _pair(then, now)


def _pair(then: Event | None, now: Event | None) -> Iterator[Text]:
    if then is not None and then == now:
        yield Text(f"    {_title(then)}", "dim")
        return
    if then is not None and now is not None and _title(then) == _title(now):
        yield Text(f"  ~ {_title(then)}", "yellow")
        for name in dict.fromkeys((*then, *now)):
            before, after = then.get(name, _ABSENT), now.get(name, _ABSENT)
            if before != after:
                yield Text.assemble(
                    f"      {name}: ", (_value(before), "red"), " → ", (_value(after), "green")
                )
        return
    if then is not None:
        yield Text(f"  - {_title(then)}{_rest(then)}", "red")
    if now is not None:
        yield Text(f"  + {_title(now)}{_rest(now)}", "green")


def _title(event: Event) -> str:
    stage = event.get("stage")
    return f"{event['type']} {stage}" if stage else str(event["type"])


def _rest(event: Event) -> str:
    """What else a decision says, as far as that fits beside its name."""
    plain = {
        name: value
        for name, value in event.items()
        if name not in _NOT_SAID and not isinstance(value, dict | list)
    }
    return "".join(f", {name} {value}" for name, value in plain.items())


def _value(value: object) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
