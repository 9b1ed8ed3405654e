"""The commands that let others in, tell others, and keep pipelines."""

import json
from pathlib import Path

import pytest
from command_support import Command
from gateway_stack import Stack, another_gateway
from myspinbot.errors import MISUSED, NOT_ALLOWED, NOT_FOUND
from test_help import completed


def test_a_webhook_is_added_tested_and_removed(api: str, command: Command) -> None:
    made = json.loads(command("webhooks", "add", "http://127.0.0.1:9/hook", "--json").out)
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["job.completed", "job.failed"]
    webhook = made["webhookId"]
    assert webhook in command("webhooks", "list").out
    assert command("webhooks", "test", webhook).status == 0
    assert command("webhooks", "deliveries", webhook).status == 0
    assert command("webhooks", "remove", webhook).status == 0
    assert command("webhooks", "remove", webhook).status == NOT_FOUND


def test_a_pipeline_is_added_shown_and_deleted(api: str, command: Command, tmp_path: Path) -> None:
    graph = {"stages": [{"id": "prepare", "kind": "prepare_dataset"}]}
    (tmp_path / "mine.json").write_text(json.dumps(graph))
    made = command("pipelines", "add", "Mine", str(tmp_path / "mine.json"))
    assert made.status == 0, made.err
    pipeline = made.out.strip()
    assert "prepare_dataset" in command("pipelines", "show", pipeline).out
    assert completed("submit", "--pipeline", pipeline[:-3]) == [pipeline]
    assert command("pipelines", "show", pipeline, "--mermaid").out.startswith(
        ("flowchart", "graph")
    )
    again = json.loads(command("pipelines", "show", pipeline, "--graph").out)
    assert again["stages"][0]["id"] == "prepare"
    assert command("pipelines", "delete", pipeline, "--yes").status == 0
    (tmp_path / "mine.json").write_text("{")
    assert command("pipelines", "add", "Mine", str(tmp_path / "mine.json")).status == MISUSED


def test_tokens_let_others_in_until_they_are_revoked(
    system: Stack, api: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = "an-admin-token-of-32-characters-or-more"
    with another_gateway(system, "tokens", ACCESS="token", ADMIN_TOKEN=admin) as address:
        monkeypatch.setenv("MYSPINBOT_API", address)
        nobody = command("jobs")
        assert nobody.status == NOT_ALLOWED
        assert "MYSPINBOT_TOKEN" in nobody.err or "token" in nobody.err.lower()
        monkeypatch.setenv("MYSPINBOT_TOKEN", admin)
        made = json.loads(
            command("tokens", "create", "reader", "--scope", "read", "--owner", "eve", "--json").out
        )
        assert made["tokenId"] in command("tokens", "list").out
        monkeypatch.delenv("MYSPINBOT_TOKEN")
        file = tmp_path / "token"
        file.write_text(made["token"])
        assert command("jobs", "--token-file", str(file)).status == 0
        assert command("webhooks", "list", "--token", made["token"]).status == 0
        assert command("cancel", "x", "--token", made["token"]).status == NOT_ALLOWED
        assert command("watch", "x", "--token", "msb_wrong_token").status == NOT_ALLOWED
        assert command("tokens", "revoke", made["tokenId"], "--token", admin).status == 0
        assert command("jobs", "--token-file", str(file)).status == NOT_ALLOWED
