"""Every version of an event that was ever released is read for ever, and never changed.

If a test here fails, its message says what to do; docs/events.md, Adding a version, says it with
an example.
"""

import copy
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from contracts.base import Id
from contracts.events import EVENTS, Event, JobCancelRequested, Quality
from contracts.upcasting import UPCASTERS, Upcasters, newest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model

from tests.support.histories import history_files
from tests.support.instances import instances

_SCRIPT = Path(__file__).parents[1] / "release.py"
_SPEC = importlib.util.spec_from_file_location("release", _SCRIPT)
assert _SPEC is not None
assert _SPEC.loader is not None
release = importlib.util.module_from_spec(_SPEC)
sys.modules["release"] = release
_SPEC.loader.exec_module(release)

RELEASED = release.Released.read()
LINES = [
    pytest.param(json.loads(line), id=f"{path.stem}:{number}")
    for path in history_files()
    for number, line in enumerate(path.read_text().splitlines(), 1)
]


def named(event: type[Event]) -> dict[str, type[Event]]:
    """Today's events, with one of them changed."""
    return {**EVENTS, event.__name__: event}


def problems(event: type[Event]) -> list[str]:
    return list(release.breaks(RELEASED, named(event)))


def changed(base: type[Event], **fields: Any) -> type[Event]:
    """An event that somebody has edited, under its own name."""
    return create_model(base.__name__, __base__=base, **fields)


def test_the_events_of_today_are_as_they_were_released() -> None:
    assert list(release.breaks(RELEASED, EVENTS)) == []


def test_every_event_of_today_was_released() -> None:
    newest_of_each = {(name, newest(model)) for name, model in EVENTS.items()}
    assert newest_of_each <= set(RELEASED.shapes), "run `make release-schemas`, then commit"


def required_field() -> type[Event]:
    return changed(JobCancelRequested, why=(str, ...))


def optional_field() -> type[Event]:
    return changed(JobCancelRequested, why=(str | None, None))


def narrower_field() -> type[Event]:
    return changed(JobCancelRequested, by=(Literal["me"], ...))


def wider_field() -> type[Event]:
    return changed(JobCancelRequested, by=(str, ...))


def other_default() -> type[Event]:
    return changed(EVENTS["JobRequested"], quality=(Quality, Quality.BEST))


def fewer_fields() -> type[Event]:
    return create_model("JobCancelRequested", __base__=Event, version=(Literal[1], 1))


@pytest.mark.parametrize(
    "edit",
    [required_field, optional_field, narrower_field, wider_field, other_default, fewer_fields],
)
def test_an_edit_without_a_new_version_is_caught_and_the_way_out_is_told(edit: Any) -> None:
    event = edit()
    [told] = problems(event)
    assert told.startswith(f"{event.__name__} is not what was released as its version 1")
    for step in ("Literal[2] = 2", "UPCASTERS", "make release-schemas", "tests/histories"):
        assert step in told


def test_the_place_of_an_edit_is_told() -> None:
    [told] = problems(required_field())
    assert "$.properties.why is new" in told
    assert '$.required was ["by"] and is ["by", "why"]' in told


def test_words_of_an_event_may_change() -> None:
    class JobCancelRequested(Event):
        """Somebody has thought better of it."""

        version: Literal[1] = 1
        by: Id = Field(description="who it was", title="Who", examples=["me"])

    assert problems(JobCancelRequested) == []


def test_a_new_version_is_no_edit_of_the_old_one() -> None:
    assert problems(changed(JobCancelRequested, version=(Literal[2], 2), why=(str, ...))) == []


def test_a_version_that_leaps_over_one_is_caught() -> None:
    [told] = problems(changed(JobCancelRequested, version=(Literal[3], 3), why=(str, ...)))
    assert "version 2 was never released" in told


def test_a_version_that_goes_back_is_caught() -> None:
    newer = ("JobCancelRequested", 2)
    ahead = release.Released({**RELEASED.shapes, newer: {}}, RELEASED.since)
    [told] = list(release.breaks(ahead, EVENTS))
    assert "make it version 3" in told


def test_an_event_that_is_gone_is_caught() -> None:
    fewer = {name: model for name, model in EVENTS.items() if name != "StageSampled"}
    [told] = list(release.breaks(RELEASED, fewer))
    assert told.startswith("StageSampled was released and is gone")


def test_a_shape_that_is_gone_is_caught(tmp_path: Path) -> None:
    release.freeze("0.1.0", tmp_path)
    (tmp_path / "StageSampled.v1.json").unlink()
    with pytest.raises(KeyError, match="StageSampled version 1 is gone"):
        release.Released.read(tmp_path)


def test_a_release_adds_what_is_new_and_changes_nothing(tmp_path: Path) -> None:
    assert len(release.freeze("0.1.0", tmp_path)) == len(EVENTS)
    kept = tmp_path / "StageSampled.v1.json"
    kept.write_text('{"as": "it was"}')
    assert release.freeze("0.2.0", tmp_path) == []
    assert kept.read_text() == '{"as": "it was"}'
    assert set(release.Released.read(tmp_path).since.values()) == {"0.1.0"}


@pytest.mark.parametrize("version", sorted(RELEASED.shapes), ids=lambda v: f"{v[0]}.v{v[1]}")
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_release_could_write_is_read_today(
    version: tuple[str, int], data: st.DataObject
) -> None:
    name, number = version
    written = consistent(data.draw(instances(RELEASED.shapes[version])))
    jsonschema.validate(written, RELEASED.shapes[version])
    # A body that says no version is of none: writers always say it.
    body = json.dumps({**written, "version": number}).encode()
    event = UPCASTERS.parse(name, body)
    assert event.version == newest(EVENTS[name])


@pytest.mark.parametrize("line", LINES)
def test_every_recorded_event_is_of_a_released_shape_and_read_today(line: dict[str, Any]) -> None:
    name = line["type"].removeprefix("myspinbot.")
    written = line["data"]
    jsonschema.validate(written, RELEASED.shapes[name, written["version"]])
    assert line["dataschema"] == f"schemas/events/{name}.v{written['version']}.json"
    assert UPCASTERS.parse(name, json.dumps(written).encode()).type_name() == name


def test_every_released_version_is_in_a_recorded_history() -> None:
    recorded = {
        (line.values[0]["type"].removeprefix("myspinbot."), line.values[0]["data"]["version"])
        for line in LINES
    }
    assert set(RELEASED.shapes) - recorded == set()


def test_an_event_of_a_version_to_come_says_which_and_what_to_do() -> None:
    newer = b'{"version":2,"by":"me","why":"no need"}'
    with pytest.raises(
        ValueError, match=r"JobCancelRequested of version 2.*up to version 1.*newer"
    ):
        UPCASTERS.parse("JobCancelRequested", newer)


def test_an_old_version_of_an_event_is_read_when_it_has_its_upcaster() -> None:
    later = changed(JobCancelRequested, version=(Literal[2], 2), why=(str, ...))

    def from_1(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "why": "not told"}

    upcasters = Upcasters(named(later), {("JobCancelRequested", 1): from_1})
    old = upcasters.parse("JobCancelRequested", b'{"version":1,"by":"me"}')
    assert old.to_json() == b'{"version":2,"by":"me","why":"not told"}'


def consistent(body: Any) -> Any:
    """What is more than a schema can say, and held when these events were released.

    The stages of a graph have different names, and wait for none that come later.
    """
    body = copy.deepcopy(body)
    graph = body.get("graph")
    if not graph:
        return body
    seen: list[str] = []
    for place, stage in enumerate(graph["stages"]):
        stage["id"] = f"{stage['id'][:40]}_{place}"
        for binding in stage.get("inputs", {}).values():
            if binding.get("stage") is not None:
                binding["stage"] = seen[0] if seen else None
        seen.append(stage["id"])
    several = len(seen) > 1
    for edge in graph.get("edges", ()):
        edge["source"], edge["target"] = seen[0], seen[-1]
    if not several:
        graph.pop("edges", None)
    return body
