"""The check for authors finds each fault of a plug-in, and says which."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from gpu_runner import protocol
from gpu_runner.plugins.check import inputs
from gpu_runner.plugins.check.__main__ import main
from gpu_runner.plugins.check.trial import Trial
from gpu_runner.plugins.check.verdicts import Examination, Verdict
from gpu_runner.plugins.manifest import load
from plugin_support import write_plugin

GOOD = """
words = Path(job["inputs"]["words"][0]).read_bytes()
try:
    words = words.decode()
except ValueError:
    say("failed", code="words-unreadable", cause="the words are no text", remedy="Write again")
    sys.exit()
(output / "greeting.txt").write_text(words)
say("progress", done=1, total=2, unit="word")
say("progress", done=2, total=2, unit="word")
say("done", outputs={"greeting": ["greeting.txt"]})
"""


def examination(
    plugin: Path, place: Path, *, kind: str = "greet", within_s: float = 60
) -> Examination:
    """What the program of the check makes, for a plug-in of any kind."""
    made = inputs.make(kind, place / "inputs")
    if not made:
        made = {"words": [place / "words.txt"]}
        made["words"][0].write_text("hello")
    return Examination(load(plugin), made, place.resolve(), within_s)


async def first_fault(examined: Examination) -> Verdict:
    """The first answer that is not good."""
    async for verdict in examined.verdicts():
        if verdict.passed is False:
            return verdict
    raise AssertionError("no fault was found")


@pytest.mark.parametrize(
    ("program", "question", "reason"),
    [
        (GOOD.replace("done=2", "done=0"), "never goes back", "50% to 0%"),
        (GOOD.replace("write_text(words)", "write_text('')"), "as the kind asks", "is empty"),
        (GOOD + "os._exit(3)", "says so", "status 3"),
        ("print('loading')" + GOOD, "says so", "no message"),
    ],
    ids=["back", "empty", "status", "chatter"],
)  # fmt: skip
async def test_each_fault_is_found(
    tmp_path: Path, program: str, question: str, reason: str
) -> None:
    folder = write_plugin(tmp_path / "one", program)
    fault = await first_fault(examination(folder, tmp_path))
    assert question in fault.question
    assert reason in fault.told


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("except ValueError", "except KeyError", "plugin-crashed"),
        ("words = words.decode()", "words = str(words)", "it made something of nothing"),
    ],
)
async def test_broken_inputs_must_be_refused_with_a_cause(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    folder = write_plugin(tmp_path / "one", GOOD.replace(before, after))
    [verdict] = [each async for each in examination(folder, tmp_path).broken_inputs()]
    assert verdict.passed is False
    assert told in verdict.told


async def test_a_claim_that_is_not_kept_is_found(tmp_path: Path) -> None:
    random = GOOD.replace("write_text(words)", "write_text(os.urandom(8).hex())")
    folder = write_plugin(tmp_path / "one", random, "deterministic = true")
    fault = await first_fault(examination(folder, tmp_path))
    assert fault == Verdict("the same seed gives the same files", False, "greeting/greeting.txt")


async def test_a_video_that_is_none_is_found(tmp_path: Path) -> None:
    program = """
for name in ("video.mp4", "poster.jpg", "report.json"):
    (output / name).write_text("{}")
say("progress", done=1, total=1, unit="frame")
say("done", outputs={"video": ["video.mp4"], "poster": ["poster.jpg"], "report": ["report.json"]})
"""
    folder = write_plugin(tmp_path / "one", program, kind="render_video")
    fault = await first_fault(examination(folder, tmp_path, kind="render_video"))
    assert "no video that can be read" in fault.told


async def test_a_plug_in_that_never_ends_is_ended(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "one", "time.sleep(600)")
    fault = await first_fault(examination(folder, tmp_path, within_s=2))
    assert "no end within 2 s" in fault.told


async def test_what_leaves_its_process_group_and_lives_on_is_found(tmp_path: Path) -> None:
    program = "subprocess.Popen(['sleep', '600'], start_new_session=True)\n" + GOOD
    verdict = await examination(write_plugin(tmp_path / "one", program), tmp_path).killed()
    assert (verdict.passed, verdict.told) == (False, "1 processes went on")


async def test_a_program_does_not_outlive_the_process_that_runs_it(tmp_path: Path) -> None:
    program = "say('progress', done=1, total=2, unit='x'); time.sleep(600)"
    trial = Trial(load(write_plugin(tmp_path / "one", program)), tmp_path / "run", {})
    process = await trial.start()
    async for message in process.messages():
        assert isinstance(message, protocol.Progress)
        break
    assert list(trial.remains())
    os.kill(process.pid, signal.SIGKILL)
    for _ in range(600):
        if not (left := list(trial.remains())):
            break
        await asyncio.sleep(0.05)
    assert left == []
    await process.kill()


RESUMABLE = """
wanted = []
signal.signal(signal.SIGTERM, lambda *_: wanted.append(1))
first = int((Path(job["resume"]) / "step").read_text()) if job["resume"] else 0
for step in range(first + 1, 10 if first else 1000):
    say("progress", done=step, total=2000, unit="step")
    time.sleep(0.02)
    if wanted:
        wanted.clear()
        kept = Path(job["scratch"]) / str(step)
        kept.mkdir()
        (kept / "step").write_text(str(step))
        say("checkpoint", directory=str(kept), step=step)
"""


@pytest.mark.parametrize("heeds", [True, False])
async def test_checkpoints_are_asked_for_and_resumed_from(tmp_path: Path, heeds: bool) -> None:
    program = RESUMABLE if heeds else RESUMABLE.replace("if wanted", "if wanted and first")
    plugin = write_plugin(tmp_path / "one", program + GOOD, "checkpoints = true")
    verdict = await examination(plugin, tmp_path, within_s=60 if heeds else 2).resumed()
    assert (verdict.passed, verdict.told) == (heeds, "" if heeds else "no checkpoint came")


def test_what_was_called_wrongly_ends_with_status_two(tmp_path: Path) -> None:
    plugin = str(write_plugin(tmp_path / "one", GOOD))
    for arguments in ([plugin], [plugin, "--input", "words=none"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_a_broken_manifest_is_told_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert "plugin.toml cannot be read" in capsys.readouterr().out
