"""Where each secret of a deployment lies, and who may read it.

The folder itself is closed to all but its owner. Files in it that containers mount are readable
by everybody, because containers run as users of their own, who cannot be given a file otherwise
without being root on the host; nobody else on the host gets past the folder.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from eventlog.permissions import ROLES

FOLDER = Path("deploy/secrets")
"""Beside compose.yml."""

CLOSED, MOUNTED = 0o600, 0o644
_FOLDER_MODE, _INNER_MODE = 0o700, 0o755


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths within the folder of secrets."""

    root: Path

    @property
    def seeds(self) -> Path:
        """The nkey seed of each role, as `<role>.nk`."""
        return self.root / "nkeys"

    @property
    def users(self) -> Path:
        """The broker's users, public keys and permissions: its configuration includes them."""
        return self.root / "nats" / "users.conf"

    @property
    def authority(self) -> Path:
        """The certificate that browsers are told to trust."""
        return self.root / "tls" / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """Never mounted: whoever has it can make certificates that those browsers believe."""
        return self.root / "tls" / "ca.key"

    @property
    def certificate(self) -> Path:
        """The certificate that Traefik shows, with those that it rests on."""
        return self.root / "tls" / "myspinbot.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.root / "tls" / "myspinbot.key"

    @property
    def store_identities(self) -> Path:
        """Who may sign in to the object store, in SeaweedFS's form."""
        return self.root / "s3.json"

    @property
    def basic_users(self) -> Path:
        """Names and bcrypt hashes of those whom Traefik lets see what is for operators."""
        return self.root / "traefik" / "users"

    @property
    def credentials(self) -> Path:
        """By what runners sign what they make: key, certificate and anchor."""
        return self.root / "runner" / "credentials.pem"

    @property
    def environment(self) -> Path:
        """What compose interpolates."""
        return self.root / "env"

    def word(self, name: str) -> Path:
        """The file of one password or token, such as `postgres/password`."""
        return self.root / name

    def mode_of(self, path: Path) -> int:
        """The mode that a file should have."""
        return CLOSED if path in self.unmounted() else MOUNTED

    def unmounted(self) -> tuple[Path, ...]:
        """Files that no container ever sees."""
        return (self.authority_key, self.environment, self.word(OPERATOR_PASSWORD))

    def expected(self) -> tuple[Path, ...]:
        """Every file of a provisioned deployment."""
        return (
            *(self.seeds / f"{role}.nk" for role in ROLES),
            self.users,
            self.authority,
            self.authority_key,
            self.certificate,
            self.key,
            *(self.word(name) for name in WORDS),
            self.store_identities,
            self.basic_users,
            self.credentials,
            self.environment,
        )


OPERATOR_PASSWORD = "traefik/password"  # noqa: S105 - the name of its file
STORE_KEY, STORE_SECRET = "s3/access_key", "s3/secret_key"
WORDS: dict[str, int] = {
    "postgres/password": 32,
    "nats/route_password": 32,
    STORE_KEY: 10,
    STORE_SECRET: 30,
    OPERATOR_PASSWORD: 18,
    "grafana/password": 18,
    "gateway/secret": 32,
    "gateway/admin_token": 32,
}
"""Passwords and tokens, each a file of its own, with the random bytes that they are made of."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file that was made or changed, and why."""

    path: Path
    why: str


def put(layout: Layout, path: Path, content: bytes, why: str) -> list[Change]:
    """Bring a file to this content and its mode; what has changed, if anything.

    It appears as a whole, and never with a wider mode than it should have.
    """
    mode = layout.mode_of(path)
    if path.exists() and path.read_bytes() == content:
        return mend_mode(path, mode)
    make_folder(layout, path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, CLOSED)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.chmod(mode)
    partial.replace(path)
    return [Change(path, why)]


def make_folder(layout: Layout, folder: Path) -> None:
    """Make a folder of the layout; only the outermost one keeps others out."""
    layout.root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    if folder != layout.root:
        folder.mkdir(mode=_INNER_MODE, exist_ok=True)


def mend_mode(path: Path, mode: int) -> list[Change]:
    """Give a file or folder its mode. Windows has no such modes: access lists take their place."""
    if os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == mode:
        return []
    path.chmod(mode)
    return [Change(path, f"its mode is {mode:04o} now")]


def mend_modes(layout: Layout) -> list[Change]:
    """Give the folders their modes: the outermost is what keeps others on the host out."""
    changes = mend_mode(layout.root, _FOLDER_MODE)
    for folder in sorted(path for path in layout.root.iterdir() if path.is_dir()):
        changes += mend_mode(folder, _INNER_MODE)
    return changes
