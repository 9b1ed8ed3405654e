"""What a plug-in says, held to the protocol: a message a line, and only files of its own job."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from contracts.base import Name, Plain
from pydantic import TypeAdapter, ValidationError

from gpu_runner import protocol

LONGEST_LINE = 1 << 20
LARGEST_METRICS = 64 << 10
MOST_FILES = 1000
_LONGEST_TEXT = 500
_CODE = re.compile(r"^[a-z][a-z0-9-]{1,47}$")
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_PLAIN: TypeAdapter[dict[str, Any]] = TypeAdapter(Annotated[dict[str, Any], Plain])


class BreachError(Exception):
    """A plug-in did not keep to the protocol. The message says how, and quotes nothing."""


@dataclass(slots=True)
class Lines:
    """Makes lines of what comes through a pipe; BreachError if one is too long."""

    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end within `chunk`; no chunk is the end, which ends a line."""
        self._rest += chunk or b"\n"
        while (at := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:at])
            del self._rest[: at + 1]
            if len(line) > LONGEST_LINE:
                break
            if line.strip():
                yield line
        else:
            if len(self._rest) <= LONGEST_LINE:
                return
        raise BreachError("a line on its standard output is longer than 1 MiB")


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the messages of one job, whose files may be in two folders only."""

    output: Path
    scratch: Path

    def read(self, line: bytes) -> protocol.Message:
        """The message on a line, its paths made absolute; BreachError if it is not right."""
        try:
            message = protocol.MESSAGE.validate_json(line)
        except ValidationError as error:
            kinds = sorted({each["type"].replace("_", " ") for each in error.errors()})
            raise BreachError(
                f"a line on its standard output is no message ({', '.join(kinds[:3])})"
            ) from error
        match message:
            case protocol.Progress(done=done, total=total):
                if not (math.isfinite(done) and math.isfinite(total) and done >= 0 < total):
                    raise BreachError("its progress is no part of a whole")
            case protocol.Sampled(path=path):
                return message.model_copy(update={"path": self._file(path)})
            case protocol.Checkpointed(directory=directory):
                return message.model_copy(update={"directory": self._folder(directory)})
            case protocol.Done():
                return self._done(message)
            case protocol.Failed():
                _check_failed(message)
        return message

    def _done(self, done: protocol.Done) -> protocol.Done:
        if sum(map(len, done.outputs.values())) > MOST_FILES:
            raise BreachError(f"it has more than {MOST_FILES} output files")
        try:
            _PLAIN.validate_python(done.metrics)
            names = [_NAME.validate_python(name) for name in done.outputs]
        except ValidationError as error:
            raise BreachError(
                "its metrics are no plain JSON, or an output's name has other characters than "
                "a-z, 0-9 and _"
            ) from error
        if len(json.dumps(done.metrics)) > LARGEST_METRICS:
            raise BreachError("its metrics are larger than 64 KiB")
        outputs = {
            name: [self._file(path, scratch=False) for path in done.outputs[name]] for name in names
        }
        return done.model_copy(update={"outputs": outputs})

    def _file(self, path: Path, *, scratch: bool = True) -> Path:
        found = self._inside(path, scratch=scratch)
        if not found.is_file():
            raise BreachError("something that it names as a file is none")
        return found

    def _folder(self, path: Path) -> Path:
        found = self._inside(path, scratch=True)
        # What is gone after the upload must be the checkpoint alone.
        if not found.is_dir() or found in (self.output.resolve(), self.scratch.resolve()):
            raise BreachError("a checkpoint is no folder of its own")
        if any(each.is_symlink() for each in found.rglob("*")):
            raise BreachError("a checkpoint has a symbolic link in it")
        return found

    def _inside(self, path: Path, *, scratch: bool) -> Path:
        whole = self.output / path
        try:
            found = whole.resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise BreachError("a file or folder that it names is not there") from error
        roots = (self.output, self.scratch) if scratch else (self.output,)
        if not any(found.is_relative_to(root.resolve()) for root in roots):
            raise BreachError("a file or folder that it names lies outside of its job's folders")
        if whole.is_symlink():
            raise BreachError("a file that it names is a symbolic link")
        return found


def _check_failed(failed: protocol.Failed) -> None:
    if not _CODE.match(failed.code):
        raise BreachError("the code of its failure is no kebab-case name")
    for text in (failed.cause, failed.remedy):
        if not text.strip() or len(text) > _LONGEST_TEXT or "\n" in text.strip():
            raise BreachError(
                f"cause and remedy of a failure must be one line each, of 1 to {_LONGEST_TEXT} "
                "characters"
            )
