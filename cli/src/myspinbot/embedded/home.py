"""The folder that holds everything of one embedded stack, and the lock that makes it one stack.

The lock is the kernel's (`flock`), so it is free as soon as its holder is dead, however it
died; the note beside it tells other commands where the running stack is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from servicekit.processes import lives

from myspinbot.errors import HELD, REFUSED, CommandError

LOOPBACK = "127.0.0.1"
ADMIN_TOKEN = "admin-token"  # noqa: S105 - the name of its file
COOKIE_SECRET = "secret"  # noqa: S105 - the name of its file
Access = Literal["local", "token"]
LAYOUT = 1
"""The version of what lies below `data`: one more with each change that an older program would
not understand, or would spoil."""

T = TypeVar("T")


class HomeHeldError(CommandError):
    """Another supervisor runs a stack on this folder."""


class NewerHomeError(CommandError):
    """A newer program has used the data of this folder, and laid it out in its own way."""

    def __init__(self, home: Home, program: str) -> None:
        super().__init__(
            f"The data in {home.data} is of a newer MySpinBot, {program}, and stays untouched.",
            "Install that version again; or restore a backup from before it, which moves this "
            "data aside: myspinbot restore BACKUP --replace",
            REFUSED,
        )


@dataclass(frozen=True, slots=True)
class Facing:
    """Where a stack listens and whom it lets in; all but API and page stay on the loopback."""

    host: str = LOOPBACK
    access: Access = "local"

    @property
    def probed(self) -> str:
        """The host by which programs on this machine reach it."""
        return LOOPBACK if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104

    def address(self, port: int) -> str:
        """By which programs on this machine reach it."""
        host = self.probed
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class StackNote:
    """What is known of the stack of a home folder; `ports` outlive it, so addresses stay."""

    stack: str = ""
    pid: int = 0
    since: str = ""
    ready: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)
    facing: Facing = field(default_factory=Facing)

    @property
    def api(self) -> str:
        """The address of API and page, for programs on this machine."""
        return self.facing.address(self.ports["http"])

    @property
    def nats(self) -> str:
        """The address of the broker."""
        return f"nats://127.0.0.1:{self.ports['nats']}"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one embedded stack. `prepare` makes them, for their owner only."""

    root: Path

    @staticmethod
    def default(environment: Mapping[str, str]) -> Home:
        """`MYSPINBOT_HOME`, or the place for user data of the XDG base directory specification."""
        if root := environment.get("MYSPINBOT_HOME"):
            return Home(Path(root).expanduser().absolute())
        data = environment.get("XDG_DATA_HOME") or "~/.local/share"
        return Home(Path(data).expanduser().absolute() / "myspinbot")

    @property
    def data(self) -> Path:
        """What must not be lost: the log, the objects, the database, the keys."""
        return self.root / "data"

    @property
    def keys(self) -> Path:
        """The seeds of the broker's users, the keys of the object store, the gateway's secrets."""
        return self.data / "keys"

    @property
    def views(self) -> Path:
        """The projector's database; there is none before the first start."""
        return self.data / "views.db"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Files that are made anew at each start: configuration and scratch space."""
        return self.root / "run"

    def weights(self, environment: Mapping[str, str]) -> Path:
        """Weights that were pulled; `MYSPINBOT_MODELS`, so that several systems can share them."""
        elsewhere = environment.get("MYSPINBOT_MODELS")
        return Path(elsewhere).expanduser().absolute() if elsewhere else self.root / "models"

    def secret(self, name: str) -> str:
        """A secret of this installation, made when there is none; only its owner may read it."""
        path = self.keys / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            write_private(path, secrets.token_urlsafe(32) + "\n")
            return path.read_text().strip()

    def admin_token(self) -> str | None:
        """The token by which the owner of this folder may do everything on the stack that runs.

        None where no token is asked for, and where the folder is somebody else's.
        """
        try:
            asked_for = self.note().facing.access == "token"
            return (self.keys / ADMIN_TOKEN).read_text().strip() if asked_for else None
        except OSError:
            return None

    def prepare(self) -> None:
        """Make the folders; CommandError if that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.data, self.keys, self.logs, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            raise CommandError(
                f"The data folder {self.root} cannot be used: {reason}.",
                "Choose another one with --home or MYSPINBOT_HOME.",
            ) from error

    def newer(self) -> NewerHomeError | None:
        """What is wrong with the data if a newer program has laid it out, else None."""
        try:
            said = json.loads(self._layout_path.read_text())
            layout, program = said["layout"], said["program"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        of_newer = type(layout) is int and layout > LAYOUT
        return NewerHomeError(self, str(program)) if of_newer else None

    def claim(self) -> None:
        """Write down that the data is laid out as here; NewerHomeError if a newer program's is."""
        if (error := self.newer()) is not None:
            raise error
        said = {"layout": LAYOUT, "program": metadata.version("myspinbot")}
        write_private(self._layout_path, json.dumps(said) + "\n")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only supervisor of this folder; HomeHeldError if another one is."""
        self.prepare()
        with (self.root / "lock").open("a") as lock:
            if not _take(lock):
                raise _held(self)
            yield

    def note(self) -> StackNote:
        """The note of the stack that runs or ran here; an empty one if there is none."""
        try:
            kept = json.loads(self._note_path.read_text())
            facing = _known(Facing, kept.get("facing", {}))
            return _known(StackNote, {**kept, "facing": facing})
        except (OSError, ValueError, TypeError, AttributeError):
            return StackNote()

    def write_note(self, note: StackNote) -> None:
        """Replace the note at once and as a whole."""
        write_private(self._note_path, json.dumps(asdict(note), indent=2) + "\n")

    def running(self) -> StackNote | None:
        """The note of the stack that runs here now, or None."""
        try:
            with (self.root / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except BlockingIOError:
            note = self.note()
            # Between taking the lock and writing the note, the old note is of a dead stack.
            return note if note.pid and lives(note.pid) else replace(note, ready=False)
        except OSError as error:
            raise CommandError(
                f"The data folder {self.root} cannot be read: {error.strerror}.",
                "Choose your own with --home or MYSPINBOT_HOME, or name a system with --api.",
            ) from error
        return None

    @property
    def _layout_path(self) -> Path:
        return self.data / "layout.json"

    @property
    def _note_path(self) -> Path:
        return self.root / "stack.json"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it appears when it is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None if the file does not exist."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def _known(kind: Callable[..., T], said: Mapping[str, Any]) -> T:
    """A dataclass of what it knows: a newer program may have said more."""
    return kind(**{each.name: said[each.name] for each in fields(kind) if each.name in said})  # type: ignore[arg-type]


def _take(lock: IO[str], tries: int = 10) -> bool:
    # Who asks whether a stack is running holds the lock for a moment too (`Home.running`).
    for left in reversed(range(tries)):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if left:
            time.sleep(0.02)
    return False


def _held(home: Home) -> HomeHeldError:
    note = home.note()
    where = f" Its address is {note.api}." if note.ports.get("http") else ""
    return HomeHeldError(
        f"Process {note.pid} has run a stack on {home.root} since {note.since}.{where}",
        f"Use that one, stop it (kill {note.pid}), or choose another folder with --home.",
        HELD,
    )
