"""Runs a plug-in's program for one stage, within the stage's child process.

The program stays in the child's process group, so that whoever ends the stage ends it and all that
it started, and it is ended by the kernel if the child dies alone.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.stagelog import Level
from pydantic import RootModel

from gpu_runner import protocol
from gpu_runner.models.weights import weights_of
from gpu_runner.orphan import die_with_parent
from gpu_runner.plugins import parameters
from gpu_runner.plugins.manifest import PROTOCOL, ManifestError, Plugin, load
from gpu_runner.plugins.messages import BreachError, Lines, Reader
from gpu_runner.plugins.subtitles import write_subtitles
from gpu_runner.stage import StageContext, StageError, StageResult, processors

JOB_FILE = "job.json"
JOB_VARIABLE = "MYSPINBOT_JOB"
"""Names the job's folder to the program and to all that it starts."""
_CHUNK = 65_536
_LOOK_EVERY_S = 0.2
_ENDS_WITHIN_S = 10.0
_TAIL_LINES = 20
_TAIL_BYTES = 8192
_KEPT_BACK = ("MYSPINBOT_", "NATS_", "AWS_", "OTEL_", "HF_TOKEN", "PYTHONPATH", "PYTHONHOME")
_CHECK = "Tell the plug-in's author: `python -m gpu_runner.plugins.check` shows such faults"


class Params(RootModel[dict[str, Any]]):
    """Parameters as they came: the plug-in's own schema checks them."""


def run(context: StageContext) -> StageResult:
    """Do a stage by the plug-in in `context.plugin`.

    Raises:
        StageError: `plugin-broken`, `plugin-incomplete`, `weights-absent`, `invalid-params`;
            `plugin-faulty` if it
            does not keep to the protocol, `plugin-crashed` if it ends without a word; or the
            failure that the plug-in tells of.

    """
    plugin = _usable(context)
    given = dict(context.params.root)
    params = parameters.complete(plugin.schema, given)
    if wrong := parameters.faults(plugin.schema, params):
        raise StageError(
            "invalid-params",
            f"the parameters of the stage are not valid: {wrong}",
            "See /api/capabilities for the parameters of each engine",
        )
    folder = _write_job(context, plugin, params)
    with subprocess.Popen(  # noqa: S603 - whoever installed the plug-in trusts it
        [*plugin.command(), str(folder)],
        cwd=plugin.folder,
        env=environment(os.environ, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # No thread has been started yet, so the forked process holds no lock of another.
        preexec_fn=die_with_parent,  # noqa: PLW1509
    ) as process:
        talk = _Talk(process, context, Reader(context.output, folder / "scratch"))
        try:
            ending = talk.hold(asks=plugin.manifest.checkpoints)
        except BreachError as breach:
            talk.tell_tail()
            raise StageError(
                "plugin-faulty", f"the plug-in {plugin.manifest.name} broke off: {breach}", _CHECK
            ) from breach
        finally:
            process.kill()
    if ending is None:
        talk.tell_tail()
        raise _crashed(plugin, process.returncode)
    if isinstance(ending, protocol.Failed):
        raise StageError(ending.code, ending.cause, ending.remedy, retryable=ending.retryable)
    return StageResult(_completed(plugin, ending.outputs, context.output), ending.metrics)


def _completed(
    plugin: Plugin, outputs: dict[str, list[Path]], folder: Path
) -> dict[str, list[Path]]:
    """With what follows from the outputs, so that not every author has to make it."""
    lacking = plugin.manifest.kind == "synthesize_speech" and not outputs.get("subtitles")
    if not lacking or not outputs.get("timings"):
        return outputs
    return {**outputs, "subtitles": write_subtitles(outputs["timings"][0], folder)}


def environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a plug-in is told: no addresses and secrets of ours, nothing for our interpreter."""
    kept = {name: value for name, value in given.items() if not name.startswith(_KEPT_BACK)}
    return {**kept, JOB_VARIABLE: str(folder)}


def _usable(context: StageContext) -> Plugin:
    if context.plugin is None:
        raise StageError(
            "plugin-broken", "the stage names no plug-in", "This is a defect: report it"
        )
    try:
        plugin = load(context.plugin)
    except ManifestError as error:
        raise StageError(
            "plugin-broken", f"the plug-in cannot be used: {error}", "Mend it, then retry the job"
        ) from error
    if lacks := plugin.lacking():
        raise StageError(
            "plugin-incomplete",
            f"the plug-in {plugin.manifest.name} lacks {lacks[0].name}",
            f"Where the runner is: {lacks[0].how_to_get}",
        )
    return plugin


def _write_job(context: StageContext, plugin: Plugin, params: Mapping[str, Any]) -> Path:
    """The job's folder, with its description in it."""
    folder = context.scratch / "job"
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    job = {
        "protocol": PROTOCOL,
        "kind": plugin.manifest.kind,
        "engine": plugin.manifest.name,
        "params": params,
        "inputs": {name: [str(path) for path in files] for name, files in context.inputs.items()},
        "output": str(context.output),
        "scratch": str(scratch),
        "resume": str(context.resume) if context.resume else None,
        "weights": str(weights_of(model)) if (model := plugin.manifest.model) else None,
        "device": context.device,
        "seed": context.seed,
        "threads": processors(),
    }
    (folder / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
    return folder


@dataclass(slots=True)
class _Talk:
    """What is said between a running plug-in and its stage."""

    process: subprocess.Popen[bytes]
    context: StageContext
    reader: Reader
    _lines: Lines = field(default_factory=Lines)
    _tail: bytes = b""
    _asked: bool = False
    _ending: protocol.Done | protocol.Failed | None = None

    def hold(self, *, asks: bool) -> protocol.Done | protocol.Failed | None:
        """Listen until the program has ended; `asks`: pass on that a checkpoint is wanted.

        Returns how it says that it ended, None if it did not. Raises BreachError.
        """
        patience = float("inf")
        with selectors.DefaultSelector() as selector:
            for pipe in (self.process.stdout, self.process.stderr):
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            while selector.get_map():
                ready = selector.select(_LOOK_EVERY_S)
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK)
                    if key.fileobj is self.process.stdout:
                        self._hear(chunk)
                    else:
                        self._keep(chunk)
                    if not chunk:
                        selector.unregister(key.fileobj)
                if asks:
                    self._ask()
                if self._ending is not None:
                    patience = min(patience, time.monotonic() + _ENDS_WITHIN_S)
                # What the program has started may hold its pipes longer than it lives.
                if (not ready and self.process.poll() is not None) or time.monotonic() > patience:
                    break
        return self._ended(patience)

    def tell_tail(self) -> None:
        """The last lines of what it printed, into the stage's log."""
        for line in self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:]:
            if line.strip():
                self.context.report.line(line.rstrip(), Level.ERROR)

    def _ended(self, patience: float) -> protocol.Done | protocol.Failed | None:
        left = min(max(patience - time.monotonic(), 0.0), _ENDS_WITHIN_S)
        try:
            status = self.process.wait(left)
        except subprocess.TimeoutExpired:
            status = None
        if self._ending is not None and status != 0:
            how = "did not end" if status is None else f"ended with status {status}"
            self.context.report.line(f"the plug-in {how} after its last word", Level.WARNING)
        return self._ending

    def _keep(self, chunk: bytes) -> None:
        sys.stderr.buffer.write(chunk)
        sys.stderr.buffer.flush()
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def _ask(self) -> None:
        wanted = self.context.checkpoint_wanted()
        if wanted and not self._asked:
            self.process.send_signal(signal.SIGTERM)
        self._asked = wanted

    def _hear(self, chunk: bytes) -> None:
        for line in self._lines.feed(chunk):
            if self._ending is not None:
                raise BreachError("it said more after its last word")
            self._pass_on(self.reader.read(line))

    def _pass_on(self, message: protocol.Message) -> None:
        report = self.context.report
        match message:
            case protocol.Progress():
                report.progress(message.done, message.total, message.unit, message.message)
            case protocol.Checkpointed():
                report.checkpoint(message.directory, message.step)
            case protocol.Sampled():
                report.sample(message.path, message.caption, message.step)
            case protocol.Line():
                if message.message:
                    report.line(message.message, message.level)
                if message.values:
                    report.values(message.step or 0, **message.values)
            case protocol.Done() | protocol.Failed():
                self._ending = message


def _crashed(plugin: Plugin, status: int) -> StageError:
    name = plugin.manifest.name
    if status == -signal.SIGKILL:
        cause = f"the plug-in {name} was killed from outside, most often for lack of memory"
        remedy = "Choose a lower quality, or give the machine more memory"
    else:
        cause = f"the plug-in {name} ended with status {status} and no word"
        remedy = "The end of what it printed is in the stage's log"
    return StageError("plugin-crashed", cause, remedy, retryable=True)
