"""`myspinbot doctor`: what is wrong with an installation, and how to mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from myspinbot.client import AsyncClient
from myspinbot.client.target import Target
from myspinbot.commands.options import (
    ApiOption,
    HomeOption,
    JsonOption,
    TokenFileOption,
    TokenOption,
    examples,
    home_of,
    run,
    target_of,
)
from myspinbot.doctor import folder, installation, machine, system
from myspinbot.doctor.findings import Finding, Verdict, any_failed
from myspinbot.embedded.home import Home
from myspinbot.errors import FAILED
from myspinbot.provision.layout import FOLDER, Layout
from myspinbot.screen import document, out

_STYLES = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@examples(
    "myspinbot doctor",
    "myspinbot doctor --deploy",
    "myspinbot doctor --json | jq '.findings[] | select(.remedy)'",
)
def doctor(
    *,
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="Look at a deployment by compose, and at nothing else."),
    ] = False,
    secrets: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="With --deploy: where its secrets lie."),
    ] = FOLDER,
    as_json: JsonOption = False,
    api: ApiOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    home: HomeOption = None,
) -> None:
    """Find out what is wrong with this installation, and how to mend it.

    Looks at the program, the machine, the data folder and the system that runs, and changes
    nothing. With --api, it looks at the program and at that system. Ends with status 1 if
    something cannot work.

    With --deploy, it looks at what a deployment by compose rests on: secrets, keys, certificate,
    names, ports, GPU and clock.
    """
    if deploy:
        run(_show(_deployed(Layout(secrets)), as_json=as_json))
        return
    local = home_of(home)
    target = target_of(api, token, token_file, home) if api or local.running() else None
    run(_show(_findings(local, target, remote=api is not None), as_json=as_json))


async def _show(found: AsyncIterator[Finding], *, as_json: bool) -> None:
    findings: list[Finding] = []
    async for finding in found:
        findings.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        document(
            {
                "ok": not any_failed(findings),
                "findings": [asdict(finding) for finding in findings],
            }
        )
    if any_failed(findings):
        raise typer.Exit(FAILED)


async def _deployed(layout: Layout) -> AsyncIterator[Finding]:
    # Imported where it is used: it takes the cryptography of certificates.
    from myspinbot.doctor.deploy import check

    for finding in check(layout):
        yield finding


async def _findings(home: Home, target: Target | None, *, remote: bool) -> AsyncIterator[Finding]:
    for finding in installation.check():
        yield finding
    if not remote:
        for finding in machine.check(home.root):
            yield finding
        if (late := machine.newest(home.root, datetime.now(UTC))) is not None:
            yield late
        for finding in folder.check(home):
            yield finding
        if home.running() is not None:
            async for finding in system.check_parts(home):
                yield finding
    if target is not None:
        async with AsyncClient(target) as client:
            async for finding in system.check_gateway(client):
                yield finding


def _tell(finding: Finding) -> None:
    out.print(f"{finding.verdict:<5}", style=_STYLES[finding.verdict], end="")
    out.print(f" {finding.check:<12} {finding.detail}", markup=False)
    if finding.remedy:
        out.print(f"{'':<18} → {finding.remedy}", markup=False)
