"""The object store of the embedded stack: a real S3 server, SeaweedFS in one process.

Its S3 port asks for the generated access keys. Its inner HTTP ports ask for tokens signed with
generated keys, because loopback is shared with every other user of the machine.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from myspinbot.embedded.binaries import WEED_PROGRAM, binary
from myspinbot.embedded.home import Home, read_json, write_private
from myspinbot.embedded.probe import answers_ok
from myspinbot.embedded.processes import Program

WEED = "weed"
"""The name of the part."""
BUCKET = "myspinbot"


@dataclass(frozen=True, slots=True)
class Keys:
    """How services sign in to the store."""

    access_key: str
    secret_key: str


def ensure_keys(home: Home) -> Keys:
    """The store's access keys, made when there are none."""
    path = home.keys / "s3.json"
    config = read_json(path)
    if config is None:
        keys = Keys(secrets.token_hex(10).upper(), secrets.token_urlsafe(30))
        credentials = [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]
        identity = {
            "name": "myspinbot",
            "credentials": credentials,
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(path, json.dumps({"identities": [identity]}, indent=2) + "\n")
        return keys
    [credentials] = config["identities"][0]["credentials"]
    return Keys(credentials["accessKey"], credentials["secretKey"])


def program(home: Home, ports: Mapping[str, int], environment: dict[str, str]) -> Program:
    """The object store, ready when its S3 port answers."""
    ensure_keys(home)
    store = home.data / "objects"
    store.mkdir(mode=0o700, exist_ok=True)
    # SeaweedFS looks for security.toml in the folder it is started in.
    folder = home.run / "weed"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "security.toml", _security())
    listening = {
        "s3.port": ports["s3"],
        "master.port": ports["master"],
        "volume.port": ports["volume"],
        "filer.port": ports["filer"],
        "admin.port": ports["weed_admin"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    command = [
        binary(WEED_PROGRAM),
        "mini",
        f"-dir={store}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.config={home.keys / 's3.json'}",
        # Beside it, by relative names: a whole path may be longer than a socket's can be (108
        # bytes, unix(7)).
        "-filer.localSocket=filer.sock",
        "-s3.localSocket=s3.sock",
        f"-bucket={BUCKET}",
        "-admin.ui=false",
        "-webdav=false",
        "-volume.preStopSeconds=0",
        # It would tell its makers about this installation.
        "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in listening.items()),
    ]

    async def ready() -> bool:
        return await answers_ok(ports["s3"], "/healthz")

    return Program(name=WEED, command=command, environment=environment, folder=folder, ready=ready)


def _security() -> str:
    """New signing keys at each start: master, volume server and filer share one process."""
    sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "\n".join(f'[{name}]\nkey = "{secrets.token_urlsafe(30)}"\n' for name in sections)
