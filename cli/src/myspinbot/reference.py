"""docs/cli.md: the reference of all commands, made from the commands themselves.

python -m myspinbot.reference > docs/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from rich.text import Text
from typer.main import get_command

from myspinbot.commands.options import CONNECTION
from myspinbot.main import app

HEAD = """\
# The command

`myspinbot` runs the whole system on this machine, and steers it or any other one. Every command has `--help` with examples, and
`--json` for programs. This page is made from the commands themselves (`make schemas`).

```sh
myspinbot demo                                                       # see what it does
myspinbot up                                                         # leave the system running
myspinbot submit ~/photos --voice me.wav --script 'Hello!' --watch   # a video of your own
myspinbot download                                                   # its files
myspinbot doctor                                                     # what is wrong, and how to mend it
```

Where an id of a job is expected, `last` is the newest one. Results go to the standard output and all else to the standard
error, so pipes get nothing but results: tables become lines with tabs, and nothing is coloured unless somebody watches.

## Exit status

| status | meaning |
|---|---|
| 0 | done |
| 1 | a job failed or was cancelled, a check of `doctor` failed, or the program met what it did not expect |
| 2 | the command was called wrongly |
| 3 | no system answers, or a part of it is away; of `up`: another system holds the data folder; of `models pull` and `engines install`: the hub is away, or another one is at work |
| 4 | the system refused the request |
| 5 | what was asked for does not exist |
| 6 | the token is missing, wrong, or may not do this |
| 130, 143 | ended by Ctrl-C, by SIGTERM |

An error says its cause and, on the next line, what to do.

## Which system

| option | variable | meaning |
|---|---|---|
| `--api` | `MYSPINBOT_API` | address of the system; without, the one that runs on this machine |
| `--token`, `--token-file` | `MYSPINBOT_TOKEN` | API token; the local system's owner needs none given |
| `--home` | `MYSPINBOT_HOME` | data folder of the local system; without, `$XDG_DATA_HOME/myspinbot` or `~/.local/share/myspinbot` |
| | `MYSPINBOT_MODELS` | folder of pulled weights; without, `models` in the data folder |
| | `MYSPINBOT_BASE_SD15`, `MYSPINBOT_BASE_SDXL`, `MYSPINBOT_BASE_I2V`, `MYSPINBOT_BASE_XTTS` | a base of your own for that engine: [models.md](models.md) |
| | `MYSPINBOT_PLUGINS` | folders of engines that others bring, with `:` between them, besides `engines` in the data folder: [plugins.md](plugins.md) |

What stands in a command line can be seen by others and stays in the history: give tokens by the variable or by a file. The
secret of the local system's owner is sent to that system only. `NO_COLOR` turns colours off.

To let others in, run `myspinbot up --host 0.0.0.0 --access token` and `myspinbot tokens create`. It speaks plain HTTP: where you do
not trust the network, put a proxy with TLS before it. Elsewhere:

```sh
export MYSPINBOT_API=http://192.0.2.7:8787
myspinbot jobs --token-file ~/spinbot.token
```

## From a program

The command is built on a client that is there for every program, with asyncio and without:

```python
from myspinbot.client import Basis, Client, Likeness, Statement

consent = Statement(
    who="Ada", basis=Basis.PERMISSION, purpose="her own talks", covers=(Likeness.FACE,)
)
with Client() as client:
    job = client.jobs.create(photos=["a.png", "b.png"], name="Ada", consent=consent)
    for update in client.jobs.watch(job.job_id):
        print(update.status, f"{update.progress:.0%}")
    made = client.jobs.get(job.job_id)
    client.artifacts.save(made.artifacts, "out")
```

`AsyncClient` has the same methods to be awaited, and `async for` where `Client` has `for`. Errors are ClientErrors with `cause`
and `remedy`: ApiError (with `status`, `type` and `members` of the problem document), UnreachableError and others. All requests can
be sent again without harm; uploads and downloads go on where a connection broke, also in the next run of a program; `watch` and
`events` outlive a restart of the gateway.

## Commands
"""  # noqa: E501 - a table's row is one line


def render() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(_section(words, found) for words, found in _commands())


def _commands() -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it, in the order of the help."""

    def walk(found: Any, words: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(found, "commands", None)
        if inner is None:
            yield words, found
            return
        for name, each in inner.items():
            yield from walk(each, f"{words} {name}")

    yield from walk(get_command(app), "myspinbot")


def _section(words: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    # Those that say which system is meant are told once, above.
    options = [
        each
        for each in command.params
        if each.param_type_name == "option"
        and getattr(each, "rich_help_panel", None) != CONNECTION
        and each.name != "as_json"
    ]
    usage = " ".join((words, *(_metavar(argument) for argument in arguments)))
    lines = [f"### `{usage}`", "", _paragraphs(command.help), ""]
    rows = [(f"`{_metavar(argument)}`", argument.help or "") for argument in arguments]
    rows += [(_names(option), option.help or "") for option in options]
    if rows:
        lines += ["| | |", "|---|---|"]
        lines += [f"| {name} | {_cell(told)} |" for name, told in rows]
        lines.append("")
    if command.epilog:
        _, *examples = Text.from_markup(command.epilog).plain.splitlines()
        lines += ["```sh", *(example.strip() for example in examples), "```", ""]
    return "\n".join(lines)


def _metavar(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    name = name if argument.required else f"[{name}]"
    return f"{name}..." if argument.nargs == -1 else name


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag else f"{names} {(option.metavar or '').strip()}".rstrip()


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _paragraphs(text: str) -> str:
    paragraphs = (" ".join(each.split()) for each in text.split("\n\n"))
    return "\n\n".join(paragraphs).replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(render())
