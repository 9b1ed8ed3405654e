"""The operations page: every file, command, option, service and setting that it names is there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from myspinbot.main import app
from myspinbot.provision.layout import Layout

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
CODE = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
INLINE = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
COMMANDS = [line.split(" #")[0].strip() for line in CODE.splitlines()] + INLINE
MADE_LATER = ("deploy/secrets",)


class _Loader(yaml.SafeLoader):
    """Compose's own tags, such as `!reset`, are of no interest here."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, object]]:
    loaded = yaml.load((ROOT / "compose.yml").read_text(), _Loader)  # noqa: S506 - a safe loader
    return dict(loaded["services"])


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#\s]+)(#[^)]*)?\)", PAGE)
    local = {link for link, _ in links if "://" not in link}
    assert len(local) > 5
    missing = sorted(link for link in local if not (ROOT / "docs" / link).exists())
    assert missing == []


def test_every_anchor_is_a_heading() -> None:
    headings = {
        re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-")
        for text in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    anchors = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert anchors
    assert anchors <= headings


def test_every_file_is_there() -> None:
    named = set(re.findall(r"(?<![\w/.-])((?:deploy|tests|docs)[/\\][\w./\\-]*\w)", PAGE))
    paths = {name.replace("\\", "/") for name in named}
    assert len(paths) > 8
    missing = [
        path
        for path in sorted(paths)
        if not path.startswith(MADE_LATER) and not (ROOT / path).exists()
    ]
    assert missing == []


def test_every_secret_is_one_that_is_made() -> None:
    made = {str(path) for path in Layout(Path("deploy/secrets")).expected()}
    folders = {str(Path(path).parent) for path in made}
    named = set(re.findall(r"deploy/secrets/[\w./-]*\w", PAGE))
    assert named - made - folders == set()


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for each in COMMANDS for target in re.findall(r"^make ([\w-]+)", each)}
    assert named
    assert named <= targets


def _ours() -> Iterator[list[str]]:
    for command in COMMANDS:
        for found in re.findall(r"(?:^|&& )(?:sudo )?myspinbot ((?:[^&|;]|(?<=\")\S)*)", command):
            yield found.split()
        for found in re.findall(r"provision/provision\.sh([^&|;]*)", command):
            yield ["provision", *found.split()]


def test_every_command_and_option_of_ours_is_there() -> None:
    tree = typer.main.get_command(app)
    seen = 0
    for words in _ours():
        command, rest = tree, list(words)
        while (group := getattr(command, "commands", None)) and rest and rest[0][0] != "-":
            name = rest.pop(0)
            assert name in group, words
            command = group[name]
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        for word in rest:
            if word.startswith("--") and word != "--help":
                assert word in options, words
        seen += 1
    assert seen > 10


def test_every_service_and_profile_is_in_compose(services: dict[str, dict[str, object]]) -> None:
    profiles = {name for each in services.values() for name in each.get("profiles", [])}
    named = set(re.findall(r"--profile ([a-z]+)", PAGE))
    assert named
    assert named <= profiles
    composed = [each for each in COMMANDS if "docker compose" in each or each.startswith("up ")]
    for command in composed:
        found = re.search(r"(?:force-recreate|logs|exec|up) ([a-z0-9-]+)$", command)
        if found and not found[1].startswith("-"):
            assert found[1] in services, command


def test_every_setting_is_one_that_is_read() -> None:
    read = "".join(path.read_text() for path in ROOT.glob("compose*.yml"))
    client = {"MYSPINBOT_API", "MYSPINBOT_TOKEN"}
    named = set(re.findall(r"\bMYSPINBOT_[A-Z0-9_]+", PAGE)) - client
    assert named
    assert {name for name in named if f"${{{name}" not in read} == set()


def test_every_shell_command_can_be_parsed() -> None:
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        # Placeholders in angle brackets stand for what only the reader knows.
        text = re.sub(r"<[^>]+>", "X", block)
        if "* *  cd" in text:
            text = text.split("* *", 1)[1]
        subprocess.run(["sh", "-n"], input=text, text=True, check=True, capture_output=True)


def test_the_readme_leads_here() -> None:
    assert "docs/operations.md" in (ROOT / "README.md").read_text()
