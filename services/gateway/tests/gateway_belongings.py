"""Everything that somebody can have in a gateway, really there, and its ids."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import httpx
from contracts.base import make_id
from eventlog.broker import Broker
from eventlog.log import utc_now
from gateway_media import PHOTO, RECORDING, photo
from gateway_story import Story
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.samples import CONSENT_FORM

OWNED = ("job", "profile", "upload", "pipeline", "token", "webhook", "delivery")
UNKNOWN = make_id(utc_now(), bytes(10))


@dataclass(frozen=True)
class Belongings:
    """Real ids of everything that Ada has, by the name of the parameter that takes them."""

    ids: dict[str, str]
    sample: dict[str, str]
    letter: dict[str, str]

    def path(self, pattern: str, *, job: str | None = None) -> str:
        """The pattern with these ids; KeyError for one that this test does not know yet."""
        ids = self.ids | (self.sample if "/samples/" in pattern else {})
        ids |= self.letter if "/dead-letters/" in pattern else {}
        if job is not None:
            ids |= dict.fromkeys(OWNED, job)
        return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], pattern)

    @property
    def names(self) -> list[str]:
        """The ids that nobody else should know."""
        return [self.ids[name] for name in OWNED] + [self.letter["job"]]


async def upload(api: httpx.AsyncClient, data: bytes, kind: str = "photo") -> str:
    """A complete upload."""
    body = {"kind": kind, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    begun = (await api.post("/api/uploads", json=body)).json()
    if begun["state"] == "complete":
        return str(begun["uploadId"])
    for part in begun["parts"]:
        assert (await api.put(part["url"], content=data)).status_code < 300
    done = await api.post(f"/api/uploads/{begun['uploadId']}/complete")
    assert done.status_code == 200, done.text
    return str(begun["uploadId"])


async def belongings(ada: httpx.AsyncClient, broker: Broker, store: ObjectStore) -> Belongings:
    """A completed training with samples and results, and everything that can be set up."""
    files = {"image": PHOTO, "voice": RECORDING}
    answer = await ada.post("/api/train", files=files, data={**CONSENT_FORM, "name": "Ada"})
    story = Story(broker, answer.json()["jobId"])
    await story.plan()
    picture = await store.put(f"jobs/{story.job}/sample.png", PHOTO, "image/png")
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset", {"faces": (picture,)})
    await story.start("train_lora")
    sampled = e.StageSampled(stage="train_lora", attempt=1, step=5, caption="", artifact=picture)
    await story.tell(sampled)
    await story.complete("train_lora", {"lora": (picture,)})
    last = await story.tell(e.JobCompleted())
    while (view := (await ada.get(f"/api/jobs/{story.job}")).json())["sequence"] < last:
        pass
    graph = {"stages": [{"id": "s", "kind": "train_lora", "inputs": {"p": {"output": "photos"}}}]}
    pipeline = (await ada.post("/api/pipelines", json={"name": "x", "graph": graph})).json()
    token = (await ada.post("/api/tokens", json={"name": "x"})).json()
    hook = (
        await ada.post(
            "/api/webhooks", json={"url": "http://127.0.0.1:9/", "events": ["job.deleted"]}
        )
    ).json()
    delivery = (await ada.post(f"/api/webhooks/{hook['webhookId']}/test")).json()
    [sample] = [one for stage in view["stages"] for one in stage["samples"]]
    stage, number = sample["url"].split("/")[-2:]
    return Belongings(
        {
            "job": story.job,
            "stage": "prepare_dataset",
            "output": "faces",
            "index": "0",
            "input": "photos",
            "number": "1",
            "profile": story.job,
            "upload": await upload(ada, photo(seed=77)),
            "pipeline": pipeline["pipelineId"],
            "token": token["tokenId"],
            "webhook": hook["webhookId"],
            "delivery": delivery["deliveryId"],
        },
        {"stage": stage, "sample": number},
        await dead_letter(ada, broker),
    )


async def dead_letter(ada: httpx.AsyncClient, broker: Broker) -> dict[str, str]:
    """An attempt that took its runner with it."""
    story = await Story.begin(broker, ada)
    await story.plan()
    await story.start("prepare_dataset")
    last = await story.lose("prepare_dataset")
    while (await ada.get(f"/api/jobs/{story.job}")).json()["sequence"] < last:
        pass
    return {"job": story.job, "stage": "prepare_dataset", "attempt": "1"}
