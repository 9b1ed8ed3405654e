"""The client and a real gateway: the same in both of its forms."""

import asyncio
import hashlib
import inspect
import signal
import threading
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from command_support import Played
from contracts.job import JobStatus
from gateway_media import recording
from gateway_stack import Stack
from gateway_story import Story
from myspinbot.client import ApiError, AsyncClient, Client, asynchronous, file_names, synchronous

from tests.support.samples import SAID

VIDEO = b"moving pictures " * 40_000


def test_both_forms_have_the_same_methods() -> None:
    pairs = [
        (asynchronous.AsyncClient, synchronous.Client),
        *(
            (getattr(asynchronous, f"Async{name}"), getattr(synchronous, name))
            for name in (
                "Artifacts", "DeadLetters", "Jobs", "Oversight", "Pipelines", "Profiles", "Tokens",
                "Uploads", "Webhooks",
            )
        ),
    ]  # fmt: skip
    only_commands_need = {"readiness", "server_time"}
    for twin, blocking in pairs:
        wanted = {name for name in vars(twin) if not name.startswith("_")} - only_commands_need
        assert wanted <= set(vars(blocking)), blocking
        for name in wanted - {"close"}:
            method = getattr(blocking, name)
            assert method.__doc__ == getattr(twin, name).__doc__
            assert not inspect.iscoroutinefunction(method)


def test_a_job_is_made_from_paths_and_found_again(api: str, photos: Path, clip: Path) -> None:
    with Client() as client:
        made = client.jobs.create(
            photos=sorted(photos.iterdir()),
            clip=clip,
            consent=SAID,
            name="Ada",
            script="Hello.",
            seed=7,
        )
        job = client.jobs.get(made.job_id)
        assert client.jobs.list(limit=1).jobs[0].job_id == made.job_id
    assert (made.type, made.status) == ("generate", JobStatus.QUEUED)
    assert (job.name, job.script, job.seed) == ("Ada", "Hello.", 7)
    sent = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (*photos.iterdir(), clip)}
    assert {link.sha256 for link in job.inputs} == sent
    named = [link.name for link in job.inputs if link.input == "photos"]
    assert named == [path.name for path in sorted(photos.iterdir())]


async def test_it_is_the_same_with_asyncio(api: str, photos: Path) -> None:
    async with AsyncClient() as client:
        made = await client.jobs.create(photos=photos.iterdir(), consent=SAID, name="Bob")
        assert (await client.jobs.get(made.job_id)).name == "Bob"
        assert (await client.jobs.cancel(made.job_id)).job_id == made.job_id


def test_it_works_where_a_loop_runs_already(api: str) -> None:
    async def in_a_notebook() -> int:
        with Client() as client:
            return len(client.jobs.list(limit=5).jobs)

    assert asyncio.run(in_a_notebook()) >= 0


def test_the_same_key_makes_the_same_job_once(api: str, photos: Path) -> None:
    with Client() as client:
        one, two = (
            client.jobs.create(photos=photos.iterdir(), consent=SAID, idempotency_key="only-once")
            for _ in range(2)
        )
    assert one.job_id == two.job_id


def test_a_picture_that_is_given_twice_is_sent_once(api: str, photos: Path) -> None:
    first, *_ = sorted(photos.iterdir())
    (photos / "copy.png").write_bytes(first.read_bytes())
    with Client() as client:
        made = client.jobs.create(photos=sorted(photos.iterdir()), consent=SAID)
        assert len(client.jobs.get(made.job_id).inputs) == 2


def test_a_file_goes_on_where_an_earlier_program_was_cut_off(api: str, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(recording(400.0))
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with httpx.Client(base_url=api) as earlier:
        announced = {"kind": "clip", "size": len(content), "sha256": sha256}
        begun = earlier.post("/api/uploads", json=announced).json()
        first, _second, *_ = begun["parts"]
        assert earlier.put(first["url"], content=content[: first["size"]]).is_success
    sent: list[int] = []
    with Client() as client:
        [upload] = client.uploads.send([path], "clip", sent.append)
    assert (upload.upload_id, upload.state) == (begun["uploadId"], "complete")
    assert sent[0] == first["size"]
    assert sum(sent) == len(content)


def test_what_is_refused_is_raised_with_all_that_the_gateway_says(api: str, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no picture at all")
    with Client() as client:
        with pytest.raises(ApiError) as refused:
            client.jobs.create(photos=[tmp_path / "words.png"], consent=SAID)
        with pytest.raises(ApiError) as unknown:
            client.jobs.get("no-such-job")
    assert refused.value.status == 422
    assert refused.value.type == "/problems/not-a-picture"
    assert refused.value.remedy
    assert (unknown.value.status, unknown.value.type) == (404, "/problems/no-such-job")


def test_lists_are_read_page_by_page(api: str, photos: Path) -> None:
    with Client() as client:
        made = [client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id for _ in range(3)]
        newest = client.jobs.list(limit=2)
        rest = client.jobs.list(limit=2, before=newest.next)
        found = [item.job_id for item in (*newest.jobs, *rest.jobs)]
        assert found[:3] == made[::-1]
        every = client.jobs.every()
        assert [next(every).job_id for _ in range(3)] == made[::-1]
        every.close()


def test_updates_and_events_are_heard_to_the_end(api: str, photos: Path, play: Played) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        updates = client.jobs.watch(job)
        assert next(updates).status is JobStatus.QUEUED
        ending = threading.Thread(target=play, args=(job, lambda story: story.finish()))
        ending.start()
        assert [update.status for update in updates][-1] is JobStatus.COMPLETED
        ending.join()
        told = [event.type for event in client.jobs.events(job)]
        kept = [event.type for event in client.jobs.history(job)]
        late = list(client.jobs.events(job, after=client.jobs.get(job).sequence or 0))
    assert told == kept
    assert (told[0], told[-1]) == ("JobRequested", "JobCompleted")
    assert late == []


def test_a_watch_goes_on_when_the_gateway_is_killed_and_comes_back(
    system: Stack, api: str, photos: Path, play: Played
) -> None:
    with Client(patience_s=30) as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        updates, events = client.jobs.watch(job), client.jobs.events(job)
        assert next(updates).status is JobStatus.QUEUED
        assert next(events).type == "JobRequested"
        system.gateway.kill()

        async def meanwhile(story: Story) -> None:
            await story.plan()
            await story.start("prepare_dataset")

        play(job, meanwhile)
        system.gateway.start()
        assert next(updates).status is JobStatus.RUNNING
        ending = threading.Thread(target=play, args=(job, lambda story: story.finish()))
        ending.start()
        assert [update.status for update in updates][-1] is JobStatus.COMPLETED
        told = [event.type for event in events]
        ending.join()
        assert ["JobRequested", *told] == [event.type for event in client.jobs.history(job)]


def test_a_job_is_shown_as_it_was(api: str, photos: Path, play: Played) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        first = client.jobs.get(job).sequence
        play(job, lambda story: story.finish())
        assert client.jobs.get(job, at=first).status is JobStatus.QUEUED
        assert client.jobs.get(job).status is JobStatus.COMPLETED


def test_results_are_saved_and_lent(api: str, photos: Path, play: Played, tmp_path: Path) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        play.finished(job, video=(VIDEO, "video/mp4"))
        [link] = [a for a in client.jobs.get(job).artifacts if a.output == "video"]
        saved = client.artifacts.save([link], tmp_path / "out")
        lent = client.artifacts.lend(link.url, 60)
    assert saved == {"video.mp4": tmp_path / "out" / "video.mp4"}
    assert saved["video.mp4"].read_bytes() == VIDEO
    assert httpx.get(lent.url).content == VIDEO


def test_a_forked_and_a_deleted_job(api: str, photos: Path, play: Played) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        with pytest.raises(ApiError) as running:
            client.jobs.delete(job)
        play(job, lambda story: story.finish())
        fork = client.jobs.fork(job, "train_lora", seed=3)
        assert client.jobs.get(fork.job_id).forked_from.job_id == job
        client.jobs.delete(job)
        with pytest.raises(ApiError) as gone:
            client.jobs.get(job)
    assert (running.value.status, gone.value.status) == (409, 404)


def test_what_the_system_can_do_is_told(api: str) -> None:
    with Client() as client:
        assert client.capabilities().limits["photos"] == 4
        assert client.session().signed_in
        assert client.stats().usage["jobs"] >= 0
        assert client.runners() == ()
        assert isinstance(client.profiles.list().profiles, tuple)
        assert isinstance(client.pipelines.list(), tuple)
        with pytest.raises(ApiError, match="planner"):
            client.estimates("train", inputs=["photos"])


def test_an_interrupted_wait_ends_and_the_client_goes_on(api: str, photos: Path) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        updates = client.jobs.watch(job)
        assert next(updates).job_id == job

        async def interrupt_whoever_waits() -> None:
            kill = (signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
            asyncio.get_running_loop().call_later(0.1, *kill)

        def wait() -> None:
            client._loop.run(interrupt_whoever_waits())
            list(updates)

        with pytest.raises(KeyboardInterrupt):
            wait()
        updates.close()
        assert client.jobs.status(job).job_id == job


async def test_leaving_a_watch_early_leaves_nothing_behind(api: str, photos: Path) -> None:
    async with AsyncClient() as client:
        job = (await client.jobs.create(photos=photos.iterdir(), consent=SAID)).job_id
        async with aclosing(client.jobs.watch(job)) as updates:
            async for _ in updates:
                break
        before = len(asyncio.all_tasks())
    assert before <= 2


def test_names_of_files_never_collide(api: str, photos: Path, play: Played) -> None:
    with Client() as client:
        job = client.jobs.create(photos=photos.iterdir(), consent=SAID).job_id
        play.finished(
            job, faces=(b"{}", "application/json"), lora=(b"w", "application/x-safetensors")
        )
        # The gateway reads of it a moment later.
        while (told := client.jobs.get(job)).status is not JobStatus.COMPLETED:
            pass
        names = file_names(told.artifacts)
    assert sorted(names) == ["faces.json", "lora.safetensors"]
