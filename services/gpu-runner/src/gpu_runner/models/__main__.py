"""The program for weights, one JSON object a line: `python -m gpu_runner.models list`.

`myspinbot models` shows what it tells; in a runner's container it serves as it is. Needs no broker
and no runner. Ends with the statuses of docs/cli.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_runner.models.errors import Fault, ModelError
from gpu_runner.models.licence import Acceptance
from gpu_runner.models.lock import Damage, Lock, damages, read_lock
from gpu_runner.models.manifest import MODELS, Model, find
from gpu_runner.models.store import State, Store, models_folder
from gpu_runner.tool import Parser, parser_of, status_of, tell

if TYPE_CHECKING:
    from gpu_runner.models.pulling import Plan

_TELL_EVERY_S = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    given = _parser().parse_args(arguments)
    store = Store(models_folder(os.environ))
    return status_of(lambda: int(given.work(store, given)))


def _parser() -> Parser:
    parser = parser_of("gpu_runner.models", "Weights of models.")
    words = parser.add_subparsers(required=True, metavar="WORD")

    def word(name: str, work: Callable[[Store, argparse.Namespace], int], told: str) -> Parser:
        made = words.add_parser(name, help=told)
        made.set_defaults(work=work)
        return made

    word("list", _list, "all models, and how each is")
    for name, work, told in (
        ("plan", _plan, "what a pull would bring, asked of the hub"),
        ("pull", _pull, "have all files of a model"),
    ):
        asked = word(name, work, told)
        asked.add_argument("model", metavar="MODEL")
        asked.add_argument("--revision", help="a commit, branch or tag, if not the known one")
        if name == "pull":
            asked.add_argument("--accepted-by", metavar="WHO", help="who accepts the licence")
    verify = word("verify", _verify, "read all files and compare them with the lock")
    verify.add_argument("model", metavar="MODEL", help="or a folder")
    word("path", _path, "where a model is").add_argument("model", metavar="MODEL")
    return parser


def _list(store: Store, _: argparse.Namespace) -> int:
    tell({"folder": str(store.root), "models": [_told(store, model) for model in MODELS]})
    return 0


def _told(store: Store, model: Model) -> dict[str, Any]:
    source = model.source
    state = State.PACKAGED if source is None else store.state(model.name)
    lock = _lock(store, model.name) if source else None
    return {
        "name": model.name,
        "title": model.title,
        "neededBy": model.needed_by,
        "state": state,
        "sizeBytes": lock.size_bytes if lock else source and source.about_bytes,
        "sizeIsApproximate": lock is None and source is not None,
        "licence": _licence(model),
        "acceptance": _plain(lock.acceptance) if lock else None,
        "repository": source and source.repository,
        "revision": lock.revision if lock else source and source.revision,
        "path": str(store.folder(model.name)) if lock else None,
    }


def _lock(store: Store, name: str) -> Lock | None:
    try:
        return store.lock(name)
    except ModelError:
        return None


def _licence(model: Model) -> dict[str, Any]:
    licence = model.licence
    return {
        "title": licence.title,
        "url": licence.url,
        "mustBeAccepted": licence.must_be_accepted,
    }


def _plan(store: Store, given: argparse.Namespace) -> int:
    tell({"plan": _plan_told(store, _planned(store, given))})
    return 0


def _planned(store: Store, given: argparse.Namespace) -> Plan:
    model = find(given.model)
    try:
        from gpu_runner.models import pulling
        from gpu_runner.models.hub import Hub
    except ModuleNotFoundError as error:
        raise ModelError(
            f"the package {error.name} is not installed",
            "Install the runner with what its engines need: pip install "
            "'myspinbot-gpu-runner[engines]'",
        ) from error
    return pulling.plan(store, model, Hub(), given.revision)


def _plan_told(store: Store, plan: Plan) -> dict[str, Any]:
    offer = plan.offer
    return {
        "model": plan.model.name,
        "title": plan.model.title,
        "endpoint": offer.endpoint,
        "repository": offer.repository,
        "revision": offer.revision,
        "licence": {**_licence(plan.model), "declared": offer.licence},
        "licenceIsAsDeclared": offer.licence in (None, plan.model.licence.hub_name),
        "acceptance": _plain(plan.acceptance),
        "consentMissing": plan.consent_missing,
        "sizeBytes": offer.size_bytes,
        "remainingBytes": plan.remaining_bytes,
        "freeBytes": plan.free_bytes,
        "path": str(store.folder(plan.model.name)),
        "files": [
            {
                "path": file.path,
                "sizeBytes": file.size_bytes,
                "digest": f"{file.digest.kind}:{file.digest.value}",
            }
            for file in offer.files
        ],
    }


def _pull(store: Store, given: argparse.Namespace) -> int:
    planned = _planned(store, given)
    from gpu_runner.models import pulling
    from gpu_runner.models.hub import Hub

    lock = pulling.pull(
        store,
        planned,
        Hub(),
        accepted_by=given.accepted_by,
        now=lambda: datetime.now(UTC),
        told=_throttled(planned.offer.size_bytes),
    )
    tell({"pulled": _plain(lock), "path": str(store.folder(lock.model))})
    return 0


def _verify(store: Store, given: argparse.Namespace) -> int:
    folder = _folder(store, given.model)
    lock = read_lock(folder)
    told, done, found = _throttled(lock.size_bytes), 0, []
    for each in damages(folder, lock):
        if isinstance(each, Damage):
            found.append(each)
        else:
            done += each
            told(done)
    tell(
        {
            "verified": lock.model,
            "path": str(folder),
            "revision": lock.revision,
            "files": len(lock.files),
            "sizeBytes": lock.size_bytes,
            "damages": [_plain(each) for each in found],
        }
    )
    return Fault.FAILED if found else 0


def _folder(store: Store, named: str) -> Path:
    """The folder that is meant by a model's name, or by a path, which has a slash."""
    if "/" in named:
        return Path(named).expanduser().absolute()
    if find(named).source is None:
        raise ModelError(
            f"the model {named} comes with the package, whose installer has checked it",
            "There is nothing to verify",
            Fault.MISUSED,
        )
    if store.state(named) in (State.ABSENT, State.PARTIAL):
        store.usable(named)
    return store.folder(named)


def _path(store: Store, given: argparse.Namespace) -> int:
    if find(given.model).source is None:
        from gpu_runner.engines.mini.base import BASE

        tell({"path": str(BASE)})
    else:
        tell({"path": str(store.usable(given.model))})
    return 0


def _throttled(end: int) -> Callable[[int], None]:
    """Tells how far it is, a few times a second."""
    last = 0.0

    def advance(position: int) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last >= _TELL_EVERY_S or position >= end:
            last = moment
            tell({"position": position, "end": end})

    return advance


def _plain(told: Acceptance | Lock | Damage | None) -> Any:
    return None if told is None else told.model_dump(mode="json", by_alias=True)


if __name__ == "__main__":
    sys.exit(main())
