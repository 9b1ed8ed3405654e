"""The table of event types in docs/events.md, made from the models."""

from __future__ import annotations

from pathlib import Path

from contracts.envelope import dataschema
from contracts.events import EVENTS, Event
from contracts.upcasting import newest
from pydantic.fields import FieldInfo

PAGE = Path(__file__).parents[1] / "docs" / "events.md"
BEGIN = "<!-- the table of events: made by `make schemas` -->"
END = "<!-- end of the table of events -->"


def page() -> str:
    """The whole page with the table of today; ValueError if it has no place for it."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the table of events")
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


def table() -> str:
    """A row for each event type: who tells it, its version, what it means, what is in it."""
    rows = [
        "| event | told by | version | meaning | body |",
        "|---|---|---|---|---|",
        *(_row(name, model) for name, model in EVENTS.items()),
    ]
    return "\n".join(rows) + "\n"


def _row(name: str, model: type[Event]) -> str:
    meaning = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    tellers = ", ".join(sorted(model.told_by))
    body = ", ".join(
        f"`{_alias(key, field)}`{'' if field.is_required() else '?'}"
        for key, field in model.model_fields.items()
        if key != "version"
    )
    schema = f"../contracts/{dataschema(model)}"
    return (
        f"| [`{name}`]({schema}) | {tellers} | {newest(model)} | {meaning} | {body or 'nothing'} |"
    )


def _alias(key: str, field: FieldInfo) -> str:
    return field.alias or key
