"""Another owner at every command, query and subscription: what is not theirs is not there.

Routes are judged in the gateway's own tests, from the published document. Here the commands come
from the command line's own tree and the queries from the contracts, so that a new one is judged
at once, or fails here until somebody has said what it takes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.queries import QUERIES, Answer
from eventlog.broker import Broker, connect
from gateway_belongings import Belongings, belongings
from gateway_people import client, make_token, token_gateway
from gateway_stack import Stack
from myspinbot.errors import NOT_FOUND
from myspinbot.main import app, main
from servicekit.objects import open_store
from typer.main import get_command

from contracts import subjects

ROOT = Path(__file__).parents[2]
# What a command takes besides the ids that its arguments name.
MORE = {
    "open": ("--print",),
    "fork": ("--from", "train_lora"),
    "delete": ("--yes",),
    "dlq drop": ("--yes",),
    "profiles delete": ("--yes",),
    "pipelines delete": ("--yes",),
}
MAKES = {"submit", "demo", "pipelines add", "tokens create", "webhooks add"}
"""These name nothing that is there already; what they are given is judged with the routes."""
NAMES_NOBODYS = {"models engines"}
"""Takes the name of something that belongs to everybody."""
OF_THE_SYSTEM = {"queue.list"}
"""Answered for all owners, to gateways alone, which show an owner their own."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that asks a system."""

    def walk(found: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(found, "commands", None)
        if inner is None:
            if any(each.name == "api" for each in found.params):
                yield " ".join(words), found
            return
        for name, each in inner.items():
            yield from walk(each, (*words, name))

    return walk(get_command(app), ())


COMMANDS = dict(commands())


def arguments(command: Any) -> list[str]:
    """What its arguments are called."""
    found = [each for each in command.params if each.param_type_name == "argument"]
    return [str(each.metavar or each.name).lower() for each in found]


NAMING = {name: given for name, each in COMMANDS.items() if (given := arguments(each))}


@pytest.fixture(scope="module")
def shared(attacked: Stack) -> Iterator[str]:
    with token_gateway(attacked, "shared", WEBHOOK_TARGETS="any") as address:
        yield address


@pytest.fixture(scope="module")
def has(attacked: Stack, shared: str) -> Belongings:
    """What Ada has."""

    async def made() -> Belongings:
        token = (await make_token(shared, "ada"))["token"]
        broker = await connect(attacked.server.address("admin"))
        async with client(shared, token) as ada, open_store(attacked.store) as store:
            found = await belongings(ada, broker, store)
        await broker.close()
        return found

    return asyncio.run(made())


@pytest.fixture(scope="module")
def bob(shared: str) -> str:
    """The token of somebody else."""
    return str(asyncio.run(make_token(shared, "bob"))["token"])


@pytest.fixture
def said(
    shared: str,
    bob: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs a command as Bob; gives its exit status and all that it says."""
    monkeypatch.setenv("MYSPINBOT_TOKEN", bob)
    monkeypatch.setenv("MYSPINBOT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--api", shared])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return run


def values_for(has: Belongings, name: str) -> list[str]:
    """Ada's ids for the arguments of a command; KeyError for one that nobody has said."""
    letter = "/".join(has.letter.values())
    known = {**has.ids, "letter": letter}
    return [known[given] for given in NAMING[name]]


@pytest.mark.parametrize("name", sorted(set(NAMING) - MAKES - NAMES_NOBODYS))
def test_a_command_finds_nothing_of_somebody_elses(name: str, has: Belongings, said: Any) -> None:
    status, told = said(*name.split(), *values_for(has, name), *MORE.get(name, ()))
    assert status == NOT_FOUND, told


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(NAMING) - MAKES))
def test_a_command_that_lists_tells_nothing_of_somebody_else(
    name: str, has: Belongings, said: Any
) -> None:
    _, told = said(*name.split())
    for each in has.names:
        assert each not in told


def test_every_command_is_judged() -> None:
    assert set(COMMANDS) >= MAKES | set(MORE) | NAMES_NOBODYS
    assert len(NAMING) > 15
    assert len(set(COMMANDS) - set(NAMING)) > 10


@pytest.fixture
async def asking(attacked: Stack) -> AsyncIterator[Broker]:
    broker = await connect(attacked.server.address("gateway"))
    yield broker
    await broker.close()


def question(name: str, has: Belongings, owner: str) -> dict[str, Any]:
    """A question of an owner's about what is Ada's."""
    known: dict[str, Any] = {
        **has.ids,
        "owner": owner,
        "index": 0,
        "sha256": "0" * 64,
        "since": "2020-01-01",
        "until": "2100-01-01",
    }
    fields = QUERIES[name].model_fields
    return {each: known[each] for each, field in fields.items() if field.is_required()}


@pytest.mark.parametrize("name", sorted(set(QUERIES) - OF_THE_SYSTEM))
async def test_a_query_of_somebody_elses_finds_nothing(
    name: str, has: Belongings, asking: Broker
) -> None:
    for owner in ("ada", "bob"):
        query = QUERIES[name].model_validate(question(name, has, owner))
        reply = await asking.request(subjects.query(name), query.to_json(), {}, 10)
        answer = Answer.model_validate_json(reply.data)
        assert answer.error is None or answer.error.code == "not_found", answer
        if owner == "bob":
            told = reply.data.decode()
            assert not [each for each in has.names if f'"{each}"' in told], told
            # Nor is a thing of hers named by her own name.
            assert not re.search(r'"ada"', told), told


def test_every_query_of_the_published_document_is_judged() -> None:
    document = yaml.safe_load((ROOT / "contracts/src/contracts/asyncapi.yaml").read_text())
    told = {str(each["address"]) for each in document["channels"].values()}
    queries = {each.removeprefix("query.") for each in told if each.startswith("query.")}
    assert queries == set(QUERIES)
    assert set(QUERIES) > OF_THE_SYSTEM
