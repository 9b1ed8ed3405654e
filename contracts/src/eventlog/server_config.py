"""The broker's configuration, made from the permission table: one nkey user for each role."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import nkeys

from eventlog.permissions import ROLES


def make_seed() -> bytes:
    """A new nkey user seed, such as `SUAM…`."""
    return bytes(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER))


def public_key(seed: bytes) -> str:
    """The public key of a seed, such as `UDXU…`; ValueError if it is no seed."""
    try:
        pair = nkeys.from_seed(bytearray(seed))
    except nkeys.NkeysError as error:
        raise ValueError("this is no nkey seed") from error
    return str(pair.public_key.decode())


def ensure_seeds(folder: Path) -> dict[str, Path]:
    """The seed file of every role in a folder that only its owner may read; made where missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {}
    for role in ROLES:
        path = files[role] = folder / f"{role}.nk"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(make_seed())
    return files


def render(
    *,
    host: str,
    port: int,
    monitor_port: int,
    store: Path,
    users: Mapping[str, str],
    sync_interval: str = "always",
    max_memory_bytes: int = 128 << 20,
) -> str:
    """The configuration file. `users` maps each role to its public key.

    `sync_interval: always` makes an acknowledged event survive a power cut; by default the
    broker acknowledges up to two minutes before it syncs.
    """
    config = {
        "server_name": "myspinbot",
        "host": host,
        "port": port,
        "http": f"{host}:{monitor_port}",
        "max_payload": 8 << 20,
        "jetstream": {
            "store_dir": str(store),
            "sync_interval": sync_interval,
            "max_mem": max_memory_bytes,
        },
        "authorization": _authorization(users),
    }
    return json.dumps(config, indent=2) + "\n"


def render_users(users: Mapping[str, str]) -> str:
    """The part of a configuration file that says who may do what, to be included in one.

    `users` maps each role to its public key; others than roles are left out.
    """
    known = {role: key for role, key in users.items() if role in ROLES}
    lines = json.dumps({"authorization": _authorization(known)}, indent=2).splitlines()
    # Without the outermost braces: an included file is a list of settings, not a value.
    return "\n".join(line.removeprefix("  ") for line in lines[1:-1]) + "\n"


def _authorization(users: Mapping[str, str]) -> dict[str, object]:
    return {"users": [_user(role, users[role]) for role in sorted(users)]}


def _user(role: str, key: str) -> dict[str, object]:
    granted = ROLES[role]
    permissions: dict[str, object] = {
        "publish": {"allow": list(granted.publish), "deny": list(granted.never_publish)},
        "subscribe": {"allow": list(granted.subscribe)},
    }
    if granted.allow_responses:
        permissions["allow_responses"] = {"max": 1, "expires": "1m"}
    return {"nkey": key, "permissions": permissions}
