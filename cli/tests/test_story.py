"""The log's events as sentences."""

from datetime import UTC, datetime

import pytest
from contracts.artifacts import Artifact
from contracts.graph import Graph, Stage
from myspinbot.story import sentence

from contracts import events as e

PHOTO = Artifact(key="uploads/a", size=1, sha256="0" * 64, media_type="image/png")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            e.JobRequested(
                type=e.JobType.GENERATE,
                owner="local",
                inputs={"photos": (PHOTO, PHOTO), "clip": (PHOTO,)},
            ),
            "JobRequested: generate with clip, 2 photos",
        ),
        (
            e.JobRequested(type=e.JobType.TRAIN, owner="local"),
            "JobRequested: train with no input",
        ),
        (
            e.JobPlanned(graph=Graph(stages=(Stage(id="train_lora", kind="train_lora"),))),
            "JobPlanned: train_lora",
        ),
        (
            e.StageStarted(
                stage="train_lora",
                attempt=2,
                runner="r1",
                device="cpu",
                delivery=3,
                resumed_from_step=40,
            ),
            "StageStarted: train_lora (attempt 2) by r1 on cpu, delivery 3, from step 40",
        ),
        (
            e.StageCompleted(
                stage="render_video",
                attempt=1,
                runner="r1",
                outputs={"video": (PHOTO,)},
                metrics={},
                duration_s=12.3,
            ),
            "StageCompleted: render_video in 12 s made video",
        ),
        (
            e.StageFailed(
                stage="prepare_dataset",
                attempt=1,
                code="no-face",
                cause="Photo 2 shows no face.",
                remedy="Leave it out.",
                retryable=False,
            ),
            "StageFailed: prepare_dataset: Photo 2 shows no face.",
        ),
        (
            e.JobFailed(stage="prepare_dataset", code="c", cause="Why.", remedy="Do."),
            "JobFailed in prepare_dataset: Why. Do.",
        ),
        (e.StageSkipped(stage="a", because_of="b"), "StageSkipped: a, because of b"),
        (e.JobCompleted(), "JobCompleted"),
        (
            e.ConsentGiven(
                covers=("voice", "face"),
                statement=PHOTO,
                given_at=datetime(2026, 1, 1, tzinfo=UTC),
                by="ada",
                given_for="01",
            ),
            "ConsentGiven: face and voice may be used, says ada, as for job 01",
        ),
        (
            e.ProfileErased(by="ada"),
            "ProfileErased: this person shall be gone, with all that was made of them, says ada",
        ),
    ],
)
def test_each_event_is_told_in_one_line(event: e.Event, said: str) -> None:
    assert sentence(event) == said


@pytest.mark.parametrize("name", sorted(e.EVENTS))
def test_no_event_is_left_without_a_sentence_that_begins_with_its_name(name: str) -> None:
    required = {
        "stage": "s",
        "attempt": 1,
        "failed_attempt": 1,
        "kind": "k",
        "engine": "g",
        "engine_version": "1",
        "lane": "cpu",
        "params": {},
        "inputs": {},
        "outputs": {},
        "metrics": {},
        "input_hash": "0" * 64,
        "seed": 0,
        "from_job": "j",
        "from_stage": "s",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "because_of": "b",
        "code": "c",
        "cause": "w",
        "remedy": "r",
        "retryable": True,
        "runner": "r",
        "device": "cpu",
        "step": 1,
        "fraction": 0.5,
        "artifact": PHOTO,
        "caption": "c",
        "duration_s": 1.0,
        "type": "train",
        "owner": "o",
        "by": "o",
        "covers": ("face", "voice"),
        "statement": PHOTO,
        "given_at": datetime(2026, 1, 1, tzinfo=UTC),
        "graph": Graph(stages=(Stage(id="s", kind="s"),)),
    }
    model = e.EVENTS[name]
    event = model(**{key: required[key] for key in required if key in model.model_fields})
    assert sentence(event).startswith(name)
    assert "\n" not in sentence(event)
