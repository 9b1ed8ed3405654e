"""One stage by a plug-in: what it is told, what it may say, and what becomes of its faults."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from gpu_runner.plugins.host import environment
from gpu_runner.plugins.messages import BreachError, Lines
from gpu_runner.stage import StageError
from plugin_support import Heard, job_of, run_plugin, write_plugin

GREET = """
(output / "greeting.txt").write_text(Path(job["inputs"]["words"][0]).read_text())
say("progress", done=1, total=2, unit="word")
say("line", message="half-way")
say("line", step=1, values={"loss": 0.5})
say("sample", path="greeting.txt", caption="first", step=1)
kept = Path(job["scratch"]) / "kept"
kept.mkdir()
(kept / "step").write_text("1")
say("checkpoint", directory=str(kept), step=1)
print("chatter", file=sys.stderr)
say("done", outputs={"greeting": ["greeting.txt"]}, metrics={"words": 1})
"""
SIZED = """
[parameters.properties.size]
type = "integer"
default = 4
[parameters.properties.tone]
enum = ["soft", "loud"]
"""
DONE = 'say("done", outputs={})'
A_DONE = 'say("done", outputs={"a": ["a"]})'


def test_what_a_plug_in_says_is_passed_on_and_what_it_makes_is_the_result(tmp_path: Path) -> None:
    heard = Heard()
    plugin = write_plugin(tmp_path / "one", GREET, SIZED)
    result = run_plugin(plugin, tmp_path / "place", heard, tone="soft")
    [greeting] = result.outputs["greeting"]
    assert greeting.read_text() == "hello"
    assert result.metrics == {"words": 1}
    assert (heard.told, heard.measured) == ([0.5], [(1, {"loss": 0.5})])
    assert [path.name for path in heard.samples] == ["greeting.txt"]
    assert heard.checkpoints == [(tmp_path / "place" / "scratch" / "job" / "scratch" / "kept", 1)]
    assert [words for _, words in heard.said_lines] == ["half-way"], "chatter is not for the log"
    told = job_of(tmp_path / "place")
    assert told["params"] == {"size": 4, "tone": "soft"}
    assert (told["seed"], told["device"], told["resume"]) == (11, "cpu", None)


@pytest.mark.parametrize(
    "params", [{"size": "four"}, {"tone": "SECRET"}, {"sise": 4}], ids=["type", "enum", "unknown"]
)
def test_wrong_parameters_are_refused_before_the_program_starts(
    tmp_path: Path, params: dict[str, object]
) -> None:
    plugin = write_plugin(tmp_path / "one", GREET, SIZED)
    with pytest.raises(StageError) as refused:
        run_plugin(plugin, tmp_path / "place", **params)
    assert refused.value.code == "invalid-params"
    assert next(iter(params)) in refused.value.cause
    assert "SECRET" not in refused.value.cause
    assert not (tmp_path / "place" / "scratch" / "job").exists()


def test_a_failure_that_it_tells_of_reaches_the_user_as_it_is(tmp_path: Path) -> None:
    told = {"code": "no-words", "cause": "there is nothing", "remedy": "Say it", "retryable": True}
    plugin = write_plugin(tmp_path / "one", f"say('failed', **{told})")
    with pytest.raises(StageError) as failed:
        run_plugin(plugin, tmp_path / "place")
    assert {name: getattr(failed.value, name) for name in told} == told


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print('loading model')", "no message"),
        ("say('hello')", "no message"),
        ("say('progress', done=1, total=0, unit='x')", "no part of a whole"),
        ("say('progress', done=float('nan'), total=1, unit='x')", "no part of a whole"),
        ("say('done', outputs={'a': ['/etc/hostname']})", "outside"),
        ("say('done', outputs={'a': ['../words.txt']})", "outside"),
        ("say('done', outputs={'a': ['nothing.txt']})", "not there"),
        ("say('done', outputs={'a': ['.']})", "is none"),
        ("say('done', outputs={'A b': []})", "name has other characters"),
        ("say('done', outputs={}, metrics={'a': 'x' * 70000})", "larger than 64 KiB"),
        ("say('done', outputs={}, metrics={'a': float('inf')})", "no plain JSON"),
        (
            f"(output / 'a').symlink_to('/etc/hostname'); {A_DONE}",
            "outside",
        ),
        (
            f"(output / 'b').touch(); (output / 'a').symlink_to('b'); {A_DONE}",
            "symbolic link",
        ),
        ("say('checkpoint', directory=job['scratch'], step=1)", "no folder of its own"),
        ("say('failed', code='Two Words', cause='a', remedy='b')", "kebab-case"),
        ("say('failed', code='trace', cause='a\\nb', remedy='b')", "one line each"),
        (f"{DONE}; {DONE}", "more after its last word"),
        ("sys.stdout.write('x' * 1100000); sys.stdout.flush(); time.sleep(60)", "longer than"),
    ],
)
def test_whoever_does_not_keep_to_the_protocol_fails_for_good(
    tmp_path: Path, program: str, reason: str
) -> None:
    plugin = write_plugin(tmp_path / "one", program)
    with pytest.raises(StageError) as failed:
        run_plugin(plugin, tmp_path / "place")
    assert (failed.value.code, failed.value.retryable) == ("plugin-faulty", False)
    assert reason in failed.value.cause


def test_a_crash_is_told_with_the_end_of_what_was_printed(tmp_path: Path) -> None:
    heard = Heard()
    plugin = write_plugin(tmp_path / "one", "raise RuntimeError('no kernel image')")
    with pytest.raises(StageError) as failed:
        run_plugin(plugin, tmp_path / "place", heard)
    assert (failed.value.code, failed.value.retryable) == ("plugin-crashed", True)
    assert "status 1" in failed.value.cause
    assert "no kernel image" in heard.complaints()[-1]
    assert "no kernel image" not in failed.value.cause


def test_a_crash_after_the_work_is_done_costs_a_warning_only(tmp_path: Path) -> None:
    heard = Heard()
    plugin = write_plugin(tmp_path / "one", f"{DONE}; os._exit(9)")
    assert run_plugin(plugin, tmp_path / "place", heard).outputs == {}
    assert heard.complaints() == ["the plug-in ended with status 9 after its last word"]


def test_a_program_that_left_another_behind_on_its_pipes_does_not_hold_the_stage(
    tmp_path: Path,
) -> None:
    program = f"left = subprocess.Popen(['sleep', '600']).pid; {DONE}"
    program += "; (output / 'pid').write_text(str(left))"
    result = run_plugin(write_plugin(tmp_path / "one", program), tmp_path / "place")
    assert result.outputs == {}
    os.kill(int((tmp_path / "place" / "output" / "pid").read_text()), signal.SIGKILL)


def test_a_plug_in_gets_none_of_our_secrets() -> None:
    ours = {
        "MYSPINBOT_S3_SECRET_KEY": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HF_TOKEN": "s",
        "PYTHONPATH": "/ours",
        "PATH": "/bin",
    }
    told = environment(ours, Path("/job"))
    assert told == {"PATH": "/bin", "MYSPINBOT_JOB": "/job"}


def test_lines_are_put_together_from_what_comes_in_pieces() -> None:
    lines = Lines()
    pieces = [b'{"a"', b": 1}\n\n{", b"}", b""]
    assert [line for piece in pieces for line in lines.feed(piece)] == [b'{"a": 1}', b"{}"]
    with pytest.raises(BreachError):
        list(lines.feed(b"x" * (1 << 20) + b"y\n"))


def test_speech_without_subtitles_gets_them_of_its_timings(tmp_path: Path) -> None:
    said = """
words = [("Good", 0.1, 0.3), ("morning.", 0.3, 0.9), ("It", 1.2, 1.3), ("rains.", 1.3, 1.8)]
spans = [{"text": text, "start": start, "end": end} for text, start, end in words]
timings = {"sample_rate": 24000, "duration": 2.0, "words": spans}
timings["phonemes"] = [{"symbol": "", "start": 0, "end": 2.0}]
(output / "timings.json").write_text(json.dumps(timings))
say("done", outputs={"timings": ["timings.json"]})
"""
    plugin = write_plugin(tmp_path / "one", said, kind="synthesize_speech")
    vtt, srt = run_plugin(plugin, tmp_path / "place").outputs["subtitles"]
    cues = vtt.read_text().split("\n\n")[1:]
    assert [cue.splitlines()[2] for cue in cues] == ["Good morning.", "It rains."]
    assert "00:00:01,200 --> " in srt.read_text()


def test_a_plug_in_is_told_where_the_weights_are_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSPINBOT_BASE_XTTS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    plugin = write_plugin(tmp_path / "one", DONE, 'model = "xtts"')
    run_plugin(plugin, tmp_path / "place")
    assert job_of(tmp_path / "place")["weights"] == str(tmp_path / "mine")
    monkeypatch.delenv("MYSPINBOT_BASE_XTTS")
    monkeypatch.setenv("MYSPINBOT_MODELS", str(tmp_path / "models"))
    with pytest.raises(StageError) as absent:
        run_plugin(plugin, tmp_path / "other")
    assert absent.value.code == "weights-absent"
    assert "myspinbot models pull xtts" in absent.value.remedy


def test_a_model_that_nobody_knows_breaks_the_manifest(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path / "one", DONE, 'model = "no_such"')
    with pytest.raises(StageError, match="no model 'no_such'"):
        run_plugin(plugin, tmp_path / "place")
