"""What is asked of a plug-in, one question after the other."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gpu_runner import protocol
from gpu_runner.plugins.check import inputs, outputs, trial
from gpu_runner.plugins.check.inputs import Inputs
from gpu_runner.plugins.check.trial import Course, Trial
from gpu_runner.plugins.manifest import Plugin

_FAULTS = frozenset({"plugin-faulty", "plugin-crashed", "stage-crashed", "stage-killed"})
_UNKNOWN = "no_such_parameter"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer; `passed` is None for what could not be asked."""

    question: str
    passed: bool | None
    told: str


@dataclass(frozen=True, slots=True)
class Examination:
    """A plug-in with inputs, a folder to work in, and how long one run may take, in seconds."""

    plugin: Plugin
    given: Inputs
    folder: Path
    within_s: float
    device: str = "cpu"

    async def verdicts(self) -> AsyncIterator[Verdict]:
        """All answers, each as soon as it is there; without a first success few are asked."""
        first = self._trial("whole")
        course = await trial.run(first, self.within_s)
        yield self._ended(course)
        if not isinstance(course.ending, protocol.Done):
            return
        yield _progress(course)
        yield self._outputs(course.ending)
        yield await self.repeated(course.ending)
        yield await self.unknown_parameter()
        async for verdict in self.broken_inputs():
            yield verdict
        yield await self.killed()
        yield await self.resumed()

    def _trial(self, name: str, **changes: object) -> Trial:
        given = {"inputs": self.given, "device": self.device, **changes}
        return Trial(self.plugin, self.folder / name, **given)  # type: ignore[arg-type]

    def _ended(self, course: Course) -> Verdict:
        question = "does its work and says so"
        match course.ending:
            case protocol.Done() if course.complaints:
                return Verdict(question, passed=False, told=course.complaints[-1])
            case protocol.Done():
                return Verdict(question, passed=True, told="")
            case protocol.Failed() as failed:
                told = " / ".join([f"{failed.code}: {failed.cause}", *course.complaints[-3:]])
                return Verdict(question, passed=False, told=told)
            case None:
                told = f"no end within {self.within_s:.0f} s"
                return Verdict(question, passed=False, told=told)

    def _outputs(self, done: protocol.Done) -> Verdict:
        question = "outputs are as the kind asks"
        try:
            told = outputs.check(self.plugin.manifest.kind, done.outputs, self.given)
        except outputs.OutputError as error:
            return Verdict(question, passed=False, told=str(error))
        return Verdict(question, passed=True, told=told)

    async def repeated(self, done: protocol.Done) -> Verdict:
        """Whether it makes again what is in `done`."""
        question = "the same seed gives the same files"
        if not self.plugin.manifest.deterministic:
            return Verdict(question, passed=None, told="it does not claim it")
        again = (await trial.run(self._trial("again"), self.within_s)).ending
        if not isinstance(again, protocol.Done):
            return Verdict(question, passed=False, told="the second run failed")
        one, other = _digests(done), _digests(again)
        differing = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
        return Verdict(question, passed=not differing, told=", ".join(differing))

    async def unknown_parameter(self) -> Verdict:
        """Whether it refuses what its schema does not name."""
        params = {_UNKNOWN: 1}
        course = await trial.run(self._trial("unknown", params=params), self.within_s)
        refused = isinstance(course.ending, protocol.Failed)
        passed = refused and course.ending.code == "invalid-params"
        return Verdict("refuses a parameter that it does not know", passed=passed, told="")

    async def broken_inputs(self) -> AsyncIterator[Verdict]:
        """How it takes each input unreadable; if it can do without any of them, all at once."""
        names = tuple(self.given)
        refused = False
        for name in names:
            verdict, done = await self._broken((name,), last=len(names) == 1)
            refused = refused or not done
            yield verdict
        if not refused and len(names) > 1:
            yield (await self._broken(names, last=True))[0]

    async def _broken(self, names: tuple[str, ...], *, last: bool) -> tuple[Verdict, bool]:
        place = "-".join(("broken", *names))
        bad = inputs.broken(self.given, self.folder / f"{place}.inputs", names)
        course = await trial.run(self._trial(place, inputs=bad), self.within_s)
        done = isinstance(course.ending, protocol.Done)
        return _refusal(course, names, everything=last), done

    async def killed(self) -> Verdict:
        """Whether killing its process group ends all of it."""
        question = "nothing of it outlives a kill"
        left = await trial.kill_early(self._trial("killed"), self.within_s)
        return Verdict(question, not left, f"{len(left)} processes went on" if left else "")

    async def resumed(self) -> Verdict:
        """Whether it heeds SIGTERM, and what it gave then serves."""
        question = "gives a checkpoint when asked, and goes on from it"
        if not self.plugin.manifest.checkpoints:
            return Verdict(question, passed=None, told="it does not claim it")
        keep = self.folder / "checkpoint"
        if not await trial.stop_for_checkpoint(self._trial("asked"), self.within_s, keep):
            return Verdict(question, passed=False, told="no checkpoint came")
        course = await trial.run(self._trial("resumed", resume=keep), self.within_s)
        passed = isinstance(course.ending, protocol.Done)
        return Verdict(question, passed, "" if passed else "the resumed run failed")


def _progress(course: Course) -> Verdict:
    question = "tells its progress, which never goes back"
    told = course.progress
    if not told:
        return Verdict(question, passed=False, told="it told none")
    back = next((pair for pair in pairwise(told) if pair[1] < pair[0]), None)
    if back:
        return Verdict(question, passed=False, told=f"from {back[0]:.0%} to {back[1]:.0%}")
    passed = told[-1] <= 1
    return Verdict(question, passed, f"{len(told)} times, to {told[-1]:.0%}")


def _refusal(course: Course, broken: tuple[str, ...], *, everything: bool) -> Verdict:
    question = f"unreadable {', '.join(broken)}: fails with a cause, not a trace"
    match course.ending:
        case protocol.Failed(code=code, cause=cause):
            return Verdict(question, code not in _FAULTS, f"{code}: {cause}")
        case protocol.Done() if everything:
            return Verdict(question, passed=False, told="it made something of nothing")
        case protocol.Done():
            return Verdict(question, passed=True, told="it can do without")
        case None:
            return Verdict(question, passed=False, told="it did not end")


def _digests(done: protocol.Done) -> dict[str, str]:
    return {
        f"{name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name, paths in done.outputs.items()
        for path in paths
    }
