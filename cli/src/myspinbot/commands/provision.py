"""`myspinbot provision`: secrets, keys and certificates of a deployment."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from myspinbot.commands.options import JsonOption, examples
from myspinbot.provision import layout as places
from myspinbot.screen import document, hint, plain

SecretsOption = Annotated[
    Path,
    typer.Option("--secrets", metavar="FOLDER", help="Where the secrets of the deployment lie."),
]
DomainOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Its domain (default: the one it has, or myspinbot.local at first).",
        show_default=False,
    ),
]


@examples(
    "myspinbot provision",
    "myspinbot provision --domain bot.example.org",
    "sudo myspinbot provision --write-hosts --address 192.168.1.20",
)
def provision(
    *,
    secrets: SecretsOption = places.FOLDER,
    domain: DomainOption = None,
    address: Annotated[
        str, typer.Option(metavar="IP", help="Where the names lead in the hosts file.")
    ] = "127.0.0.1",
    write_hosts: Annotated[
        bool, typer.Option("--write-hosts", help="Write the names into the hosts file.")
    ] = False,
    hosts_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Another hosts file.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make what a deployment needs before its first start: secrets, keys, certificates, names.

    What is there is kept, so it can be run at any time: after an upgrade, to change the domain,
    and each month to renew the certificate when it is near its end. Nothing that it makes belongs
    into git.
    """
    # Imported where it is used: other commands need none of it, and should start fast.
    from myspinbot.provision import names
    from myspinbot.provision.environment import DOMAIN, read_environment
    from myspinbot.provision.making import Wanted
    from myspinbot.provision.making import provision as make

    layout = places.Layout(secrets)
    before = read_environment(layout.environment).get(DOMAIN, names.DEFAULT_DOMAIN)
    wanted = Wanted(names.checked_domain(domain or before), datetime.now(UTC))
    lines = names.hosts_lines(wanted.domain, names.checked_address(address))
    changes = make(layout, wanted)
    hosts = hosts_file or names.hosts_file(
        sys.platform, os.environ.get("SYSTEMROOT", r"C:\Windows")
    )
    wrote = write_hosts and names.write_hosts(hosts, lines)
    if as_json:
        document(
            {
                "domain": wanted.domain,
                "secrets": str(secrets),
                "changes": [{"path": str(each.path), "why": each.why} for each in changes],
                "hosts": lines,
                "hostsWritten": wrote,
            }
        )
        return
    for each in changes:
        plain(f"{each.path}: {each.why}")
    if not changes:
        plain(f"{secrets}: nothing to do for {wanted.domain}")
    if wrote:
        plain(f"{hosts}: {len(lines) - 2} names lead to {address}")
    elif not write_hosts:
        hint(f"\nIf no DNS server knows the names, add them to {hosts} (or --write-hosts):")
        for line in lines:
            plain(line)
    hint(f"\nTell browsers to trust {layout.authority}; then `myspinbot doctor --deploy`.")
