"""The check for authors passes our own plug-in and the page's example, and finds each fault."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_runner.plugins.check import inputs
from gpu_runner.plugins.check.__main__ import main
from gpu_runner.plugins.check.verdicts import Examination, Verdict
from gpu_runner.plugins.manifest import load
from plugin_support import AUDIOGRAM, ROOT, write_plugin

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

# As the last of many steps, of which the first have told more progress.
LAST = GOOD.replace("done=1", "done=2")


def given(tmp_path: Path, program: str, extra: str = "") -> list[str]:
    """Arguments of the check for a plug-in of a kind that is not ours."""
    plugin = write_plugin(tmp_path / "one", program, extra)
    words = tmp_path / "words.txt"
    words.write_text("hello")
    return [str(plugin), "--input", f"words={words}"]


async def first_fault(
    folder: Path, place: Path, *, kind: str, within_s: float = 60
) -> Verdict | None:
    """The first answer that is not good."""
    made = inputs.make(kind, place / "inputs")
    if not made:
        made = {"words": [place / "words.txt"]}
        made["words"][0].write_text("hello")
    examination = Examination(load(folder), made, place.resolve(), within_s)
    async for verdict in examination.verdicts():
        if verdict.passed is False:
            return verdict
    return None


def test_the_audiogram_passes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_runner.plugins.check", str(AUDIOGRAM)],
        check=False, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"ok +outputs are as the kind asks +\(video of 1\.8. s", done.stdout)
    assert re.search(r"ok +the same seed gives the same files", done.stdout)


def test_the_example_of_the_page_for_authors_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["plugin.toml", "pencil.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    status = main([str(tmp_path)])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "ok    nothing of it outlives a kill" in told


@pytest.mark.parametrize(
    ("program", "question", "reason"),
    [
        (GOOD.replace("done=2", "done=0"), "never goes back", "50% to 0%"),
        (GOOD.replace("except ValueError", "except KeyError"), "not a trace", "plugin-crashed"),
        (GOOD.replace("words = words.decode()", "words = str(words)"), "not a trace", "of nothing"),
        (GOOD.replace("write_text(words)", "write_text('')"), "as the kind asks", "is empty"),
        (
            "subprocess.Popen(['sleep', '600'], start_new_session=True)\n" + GOOD,
            "outlives a kill",
            "1 processes",
        ),
        (GOOD + "os._exit(3)", "says so", "status 3"),
        (GOOD.replace("say(", "print(", 2), "says so", "no message"),
    ],
    ids=["back", "trace", "blind", "empty", "daemon", "status", "chatter"],
)  # fmt: skip
async def test_each_fault_is_found(
    tmp_path: Path, program: str, question: str, reason: str
) -> None:
    folder = write_plugin(tmp_path / "one", program)
    fault = await first_fault(folder, tmp_path, kind="greet")
    assert fault is not None
    assert question in fault.question
    assert reason in fault.told


async def test_a_claim_that_is_not_kept_is_found(tmp_path: Path) -> None:
    random = GOOD.replace("write_text(words)", "write_text(os.urandom(8).hex())")
    folder = write_plugin(tmp_path / "one", random, "deterministic = true")
    fault = await first_fault(folder, tmp_path, kind="greet")
    assert fault == Verdict("the same seed gives the same files", False, "greeting/greeting.txt")


async def test_a_video_that_is_none_is_found(tmp_path: Path) -> None:
    program = """
for name in ("video.mp4", "poster.jpg", "report.json"):
    (output / name).write_text("{}")
say("progress", done=1, total=1, unit="frame")
say("done", outputs={"video": ["video.mp4"], "poster": ["poster.jpg"], "report": ["report.json"]})
"""
    folder = write_plugin(tmp_path / "one", program, kind="render_video")
    fault = await first_fault(folder, tmp_path, kind="render_video")
    assert fault is not None
    assert "no video that can be read" in fault.told


async def test_a_plug_in_that_never_ends_is_ended(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "one", "time.sleep(600)")
    fault = await first_fault(folder, tmp_path, kind="greet", within_s=2)
    assert fault is not None
    assert "no end within 2 s" in fault.told


def test_checkpoints_are_asked_for_and_resumed_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = """
wanted = []
signal.signal(signal.SIGTERM, lambda *_: wanted.append(1))
first = int((Path(job["resume"]) / "step").read_text()) if job["resume"] else 0
for step in range(first + 1, 40):
    say("progress", done=step, total=40, unit="step")
    time.sleep(0.02)
    if wanted:
        wanted.clear()
        kept = Path(job["scratch"]) / str(step)
        kept.mkdir()
        (kept / "step").write_text(str(step))
        say("checkpoint", directory=str(kept), step=step)
"""
    arguments = given(tmp_path, program + LAST, "checkpoints = true")
    status = main(arguments)
    told = capsys.readouterr().out
    assert "ok    gives a checkpoint when asked" in told, told
    assert status == 0, told


def test_what_was_called_wrongly_ends_with_status_two(tmp_path: Path) -> None:
    for arguments in (given(tmp_path, GOOD)[:1], [*given(tmp_path / "b", GOOD)[:2], "words=none"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_a_broken_manifest_is_told_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    assert "plugin.toml cannot be read" in capsys.readouterr().out
