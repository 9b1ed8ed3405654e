"""The commands and a real gateway, run as the program runs them."""

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from command_support import Command, Played
from gateway_media import recording
from gateway_story import Story
from myspinbot.commands import steer
from myspinbot.commands.open import has_browser
from myspinbot.errors import (
    FAILED,
    MISUSED,
    NOT_FOUND,
    REFUSED,
    UNREACHABLE,
    CommandError,
)
from myspinbot.inputs import parameters
from myspinbot.moments import moment

from tests.support.samples import SAYING

VIDEO = b"moving pictures " * 10_000


@pytest.fixture
def job(api: str, photos: Path, command: Command) -> str:
    """A training that was just submitted."""
    done = command("submit", str(photos), *SAYING, "--name", "Mira")
    assert done.status == 0, done.err
    return done.out.strip()


def test_a_job_is_submitted_listed_and_shown(job: str, command: Command) -> None:
    [line] = [line for line in command("jobs").out.splitlines() if line.startswith(job)]
    assert line.split("\t")[1:3] == ["train", "queued"]
    assert line.endswith("Mira")
    shown = command("show", job).out
    assert re.search(r"^name: +Mira$", shown, re.MULTILINE)
    assert re.search(r"^inputs: +2 photos", shown, re.MULTILINE)


def test_last_stands_for_the_newest_job(job: str, command: Command) -> None:
    assert json.loads(command("show", "--json").out)["jobId"] == job
    assert json.loads(command("cancel", "last", "--json").out)["jobId"] == job


def test_the_beginning_of_an_id_is_enough_as_long_as_it_is_one_job_only(
    job: str, photos: Path, command: Command
) -> None:
    assert json.loads(command("show", job[:12], "--json").out)["jobId"] == job
    assert command("submit", str(photos), *SAYING, "--name", "Another").status == 0
    several = command("cancel", job[0])
    assert several.status == MISUSED
    assert "jobs begin with" in several.err
    assert command("show", "zzz").status == NOT_FOUND


def test_json_is_what_the_gateway_said(job: str, command: Command) -> None:
    page = json.loads(command("jobs", "--limit", "1", "--json").out)
    assert page["jobs"][0]["jobId"] == job
    assert page["jobs"][0]["status"] == "queued"
    assert "next" in page


def test_jobs_are_filtered(job: str, command: Command, play: Played) -> None:
    play(job, lambda story: story.finish())
    assert job in command("jobs", "--status", "completed", "--since", "1h").out
    assert job not in command("jobs", "--status", "failed", "--status", "queued").out
    assert job not in command("jobs", "--until", "1h").out
    assert job not in command("jobs", "--type", "generate").out


def test_what_to_say_may_come_through_a_pipe(
    api: str, photos: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("From a pipe.\n"))
    made = command(
        "submit", str(photos), *SAYING, "--script", "-", "--quality", "draft", "--seed", "5"
    )
    shown = json.loads(command("show", made.out.strip(), "--json").out)
    assert (shown["script"], shown["quality"], shown["seed"]) == ("From a pipe.", "draft", 5)


def test_a_topic_asks_for_a_video(api: str, photos: Path, command: Command) -> None:
    made = command("submit", str(photos), *SAYING, "--topic", "my garden")
    shown = json.loads(command("show", made.out.strip(), "--json").out)
    assert (shown["type"], shown["topic"], shown["script"]) == ("generate", "my garden", None)
    assert "my garden" in command("show", made.out.strip()).out


def test_music_is_sent_with_a_video(
    api: str, photos: Path, tmp_path: Path, command: Command
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(recording(1.0))
    made = command("submit", str(photos), *SAYING, "--script", "Sing.", "--music", str(song))
    shown = json.loads(command("show", made.out.strip(), "--json").out)
    assert shown["inputs"][-1]["input"] == "music"


def test_the_same_key_makes_the_same_job(api: str, photos: Path, command: Command) -> None:
    words = ("submit", str(photos), *SAYING, "--idempotency-key", f"{photos.parent.name}-1")
    assert command(*words).out == command(*words).out


def test_a_failed_job_ends_a_watch_with_its_cause(job: str, command: Command, play: Played) -> None:
    async def fail(story: Story) -> None:
        await story.plan()
        await story.start("prepare_dataset")
        await story.fail("prepare_dataset")

    play(job, fail)
    watched = command("watch", job)
    assert watched.status == FAILED
    assert re.search(r"photo 1 \(.+\.png\) shows no face", watched.err)
    assert "Use a photo that shows one" in watched.err
    lines = command("watch", job, "--json").out.splitlines()
    assert json.loads(lines[-1])["status"] == "failed"
    shown = command("show", job).err
    assert re.search(r"photo 1 \(.+\.png\) shows no face", shown)
    assert "Use a photo that shows one" in shown


def test_a_completed_job_is_downloaded(
    job: str, command: Command, play: Played, tmp_path: Path
) -> None:
    nothing = command("download", job, "-o", str(tmp_path / "out"))
    assert nothing.status == NOT_FOUND
    play.finished(job, video=(VIDEO, "video/mp4"), lora=(b"w", "application/x-safetensors"))
    assert command("watch", job).status == 0
    done = command("download", job, "-o", str(tmp_path / "out"), "--only", "video")
    assert done.status == 0, done.err
    assert done.out.splitlines() == [str(tmp_path / "out" / "video.mp4")]
    assert (tmp_path / "out" / "video.mp4").read_bytes() == VIDEO
    unknown = command("download", job, "--only", "vidoe")
    assert unknown.status == MISUSED
    assert "lora, video" in unknown.err


def test_a_folder_that_cannot_be_written_is_named(
    job: str, command: Command, play: Played, tmp_path: Path
) -> None:
    play.finished(job, video=(VIDEO, "video/mp4"))
    (tmp_path / "file").touch()
    refused = command("download", job, "-o", str(tmp_path / "file"))
    assert refused.status == FAILED
    cause, remedy = refused.err.splitlines()[-2:]
    assert str(tmp_path / "file") in cause
    assert "--output" in remedy


def test_a_script_that_turns_out_empty_does_not_make_a_training(
    api: str, photos: Path, command: Command
) -> None:
    refused = command("submit", str(photos), *SAYING, "--script", "")
    assert (refused.status, refused.out) == (MISUSED, "")
    assert "The script is empty" in refused.err


def test_a_group_alone_lists_what_there_is(api: str, command: Command) -> None:
    for group in ("profiles", "pipelines", "tokens", "webhooks"):
        assert command(group, "--json").out == command(group, "list", "--json").out
    assert command("profiles", "shwo").status == MISUSED
    assert "Commands" in command("pipelines", "--help").out


def test_remedies_name_commands_and_not_requests(api: str, photos: Path, command: Command) -> None:
    for words, named in (
        (("show", "nobody"), "myspinbot jobs"),
        (("profiles", "show", "nobody"), "myspinbot profiles"),
        (("webhooks", "remove", "nothing"), "myspinbot webhooks"),
        (("jobs", "--type", "film"), "--help"),
    ):
        refused = command(*words)
        assert named in refused.err
        assert "GET /" not in refused.err


def test_a_data_folder_that_is_a_file_is_no_system(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MYSPINBOT_API", raising=False)
    (tmp_path / "home").touch()
    home = ("--home", str(tmp_path / "home"))
    assert command("jobs", *home).status == UNREACHABLE
    looked = command("doctor", *home)
    assert looked.status == FAILED
    assert "is a file" in looked.out


def test_a_job_is_forked_and_deleted(job: str, command: Command, play: Played) -> None:
    assert command("delete", job, "--yes").status == REFUSED
    play(job, lambda story: story.finish())
    forked = command("fork", job, "--from", "train_lora", "--seed", "4")
    assert forked.status == 0, forked.err
    assert f"{job}, at train_lora" in command("show", forked.out.strip()).out
    unasked = command("delete", job)
    assert (unasked.status, "--yes" in unasked.err) == (MISUSED, True)
    assert command("delete", job, "--yes").status == 0
    assert command("show", job).status == NOT_FOUND


def test_logs_are_shown_by_stage_and_level(job: str, command: Command, play: Played) -> None:
    from contracts.stagelog import Level, StageLine
    from eventlog.broker import connect
    from eventlog.stagelogs import StageLogs

    async def say(story: Story) -> None:
        await story.plan()
        await story.start("prepare_dataset")
        broker = await connect(play.stack.server.address("admin"))
        said = StageLogs(broker)
        for step, level in ((1, Level.INFO), (2, Level.WARNING)):
            await said.write(
                StageLine(
                    job=job,
                    stage="prepare_dataset",
                    attempt=1,
                    at=datetime.now(UTC),
                    level=level,
                    message=f"line {step}",
                    step=step,
                    values={"loss": 0.5 / step},
                )
            )
        await broker.close()
        await story.fail("prepare_dataset")

    play(job, say)
    for words in ((), ("--follow",)):
        assert [
            line.split("  ")[-2:] for line in command("logs", job, *words).out.splitlines()
        ] == [
            ["line 1", "loss 0.5"],
            ["line 2", "loss 0.25"],
        ]
    assert command("logs", job, "--level", "warning").out.count("\n") == 1
    assert command("logs", job, "--stage", "train_lora").out == ""
    assert json.loads(command("logs", job, "--json").out.splitlines()[0])["values"] == {"loss": 0.5}


def test_what_the_system_has_is_listed(job: str, command: Command) -> None:
    for words in (
        ("profiles", "list"),
        ("pipelines", "list"),
        ("webhooks", "list"),
        ("runners",),
        ("stats",),
        ("models",),
    ):
        listed = command(*words, "--json")
        assert listed.status == 0, (words, listed.err)
        assert isinstance(json.loads(listed.out), dict)
        assert command(*words).status == 0


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("show", "no-such-job"), NOT_FOUND),
        (("watch", "no-such-job"), NOT_FOUND),
        (("logs", "no-such-job"), NOT_FOUND),
        (("logs", "no-such-job", "-f"), NOT_FOUND),
        (("profiles", "show", "nobody"), NOT_FOUND),
        (("submit",), MISUSED),
        (("submit", "--profile", "p"), MISUSED),
        (("submit", "/nowhere.png"), MISUSED),
        (("submit", "--pipeline", "none-such", "--script", "x"), NOT_FOUND),
        (("jobs", "--since", "yesterday"), MISUSED),
        (("jobs", "--no-such-option"), MISUSED),
        (("models", "no_such_kind"), NOT_FOUND),
        (("completion", "tcsh"), MISUSED),
        (("jobs", "--api", "http://127.0.0.1:9"), UNREACHABLE),
        (("jobs", "--api", "ftp://host"), MISUSED),
        (("jobs", "--token-file", "/nowhere"), MISUSED),
        (("up", "--host", "192.0.2.1"), MISUSED),
    ],
)
def test_each_kind_of_error_has_its_exit_status(
    api: str, command: Command, words: tuple[str, ...], status: int
) -> None:
    ended = command(*words)
    assert (ended.status, ended.out) == (status, ""), ended.err
    assert ended.err.strip()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_watch_that_is_left_says_so_and_the_job_goes_on(
    job: str, command: Command, number: signal.Signals, status: int
) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "myspinbot.main", "watch", job],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "Job queued\n"
        watching.send_signal(number)
        _, said = watching.communicate(timeout=30)
    finally:
        watching.kill()
    assert watching.returncode == status
    assert said.strip() == f"The job goes on: `myspinbot watch {job}`"
    assert json.loads(command("show", job, "--json").out)["status"] == "queued"


def test_what_is_refused_is_told_with_its_remedy(
    api: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_text("this is not a picture")
    refused = command("submit", str(tmp_path), *SAYING)
    assert refused.status == REFUSED
    cause, remedy = refused.err.splitlines()
    assert cause.startswith("photo.png: ")
    assert "not a picture" in cause
    assert remedy


def test_commands_say_how_to_start_what_does_not_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MYSPINBOT_API", raising=False)
    for words in (("jobs",), ("watch", "x"), ("events", "tail"), ("open",)):
        refused = command(*words, "--home", str(tmp_path))
        assert refused.status == UNREACHABLE
        assert "myspinbot up" in refused.err


def test_the_page_of_a_job_is_named_where_there_is_no_browser(
    job: str, api: str, command: Command
) -> None:
    assert command("open", job, "--print").out == f"{api}/#/job/{job}\n"
    assert command("open", "--print").out == f"{api}/\n"


def test_a_browser_is_opened_only_where_there_is_a_screen() -> None:
    assert has_browser({"DISPLAY": ":0"}, "linux")
    assert has_browser({}, "darwin")
    assert not has_browser({}, "linux")
    assert not has_browser({"SSH_CONNECTION": "x"}, "darwin")


def test_a_person_is_erased_after_it_was_said_what_goes_with_them(
    job: str, command: Command, play: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    play.finished(job, lora=(b"l", "application/x"), faces=(b"f", "image/png"))
    while not json.loads(command("profiles", "show", job, "--json").out or "{}").get("ready"):
        pass
    words = ("--profile", job, "--script", "Hello.")
    video = command("submit", *words).out.strip()
    play.finished(video)
    while json.loads(command("profiles", "show", job, "--json").out)["videos"] != 1:
        pass
    asked: list[str] = []
    monkeypatch.setattr(steer, "somebody_there", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda question, **_: asked.append(question))
    assert command("profiles", "delete", job).status == 1
    assert asked == ["Erase Mira with face, voice, 1 video and all other jobs made with it?"]
    assert command("profiles", "delete", job, "--yes").status == 0
    for gone in (("show", job), ("show", video), ("profiles", "show", job)):
        assert command(*gone).status == NOT_FOUND


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7 d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_time_may_be_said_by_how_long_ago_it_was(given: str, meant: timedelta) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert moment(given, now) == now - meant
    assert moment("2026-11-21T10:00+00:00", now) == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_parameters_are_json_or_text() -> None:
    given = ["train_lora.steps=800", "train_lora.rank=null", "render_video.style=calm"]
    assert parameters(given) == {
        "train_lora": {"steps": 800, "rank": None},
        "render_video": {"style": "calm"},
    }
    for wrong in ("steps=800", "train_lora.steps", ".x=1"):
        with pytest.raises(CommandError):
            parameters([wrong])
