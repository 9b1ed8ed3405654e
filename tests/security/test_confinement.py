"""What a confined process can do: compute, within limits, and nothing else."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from gateway.artifacts import shrinking
from gateway_media import photo
from gpu_runner.media import decoder
from PIL import Image
from servicekit.sandbox import syscalls
from servicekit.sandbox.confinement import Limits, lacking
from servicekit.sandbox.helper import ConfinedError, Helper

TRY = """
import os, socket, sys, threading
from servicekit.sandbox.confinement import Limits, allow_time, confine
limits = Limits(memory_bytes=64 << 20, cpu_s=1, patience_s=9)
confine(limits)
allow_time(limits)
try:
    {deed}
except BaseException as error:
    print(type(error).__name__)
else:
    print("done")
"""
REFUSED = {
    "reading a file": "open('/etc/hostname')",
    "writing a file": "open('/tmp/written', 'w')",
    "listing a folder": "os.listdir('/')",
    "making a folder": "os.mkdir('/tmp/made')",
    "removing a file": "os.unlink('/etc/hostname')",
    "a link": "os.symlink('/etc', '/tmp/linked')",
    "a socket": "socket.socket()",
    "a socket of this machine": "socket.socket(socket.AF_UNIX)",
    "two sockets": "socket.socketpair()",
    "another program": "os.execv('/bin/true', ['true'])",
    "another program beside it": "os.posix_spawn('/bin/true', ['true'], {})",
    "another process": "os.fork()",
    "a signal": "os.kill(os.getppid(), 9)",
    "more memory": "__import__('resource').setrlimit(9, (-1, -1))",
}


def tried(deed: str) -> subprocess.CompletedProcess[str]:
    """What a confined process says of a deed."""
    code = textwrap.dedent(TRY).format(deed=deed)
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not syscalls.supported(), reason="no filter of system calls here")
@pytest.mark.parametrize("deed", REFUSED.values(), ids=REFUSED)
def test_a_confined_process_cannot_do(deed: str) -> None:
    told = tried(deed)
    assert told.stdout.strip() in {"PermissionError", "ValueError"}, told.stderr


def test_a_confined_process_computes_in_threads_and_in_the_memory_it_has() -> None:
    work = "t = threading.Thread(target=lambda: bytearray(8 << 20)); t.start(); t.join()"
    assert tried(work).stdout == "done\n"


def test_a_confined_process_gets_no_more_memory() -> None:
    assert tried("bytearray(80 << 20)").stdout == "MemoryError\n"


def test_a_confined_process_gets_no_more_time() -> None:
    told = tried("exec('while True: pass')")
    assert told.returncode == -signal.SIGXCPU
    assert told.stdout == ""


def test_looking_for_what_is_lacking_takes_nothing_away() -> None:
    syscalls.supported.cache_clear()
    lacking()
    assert Path("/etc/hostname").exists()
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0


def test_nothing_is_lacking_on_linux() -> None:
    if sys.platform == "linux" and os.uname().machine in ("x86_64", "aarch64"):
        assert lacking() == ()


def test_a_helper_that_has_died_is_told_and_there_is_another_one() -> None:
    helper = Helper(shrinking.__name__, shrinking.LIMITS)
    wish = {"size": 64, "most_pixels": 1_000_000}
    assert helper.ask(wish, photo(), 1 << 20)[1][:4] == b"RIFF"
    first = helper.pid
    assert first
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ConfinedError, match="died"):
        helper.ask(wish, photo(), 1 << 20)
    assert helper.ask(wish, photo(), 1 << 20)[1][:4] == b"RIFF"
    assert helper.pid not in (None, first)
    helper.close()
    assert helper.pid is None


def test_a_helper_that_answers_too_late_or_too_much_is_ended() -> None:
    wish = {"size": 64, "most_pixels": 1_000_000}
    impatient = Helper(shrinking.__name__, Limits(1 << 30, 9, patience_s=0.0))
    with pytest.raises(ConfinedError, match="time"):
        impatient.ask(wish, photo(), 1 << 20)
    frugal = Helper(shrinking.__name__, shrinking.LIMITS)
    with pytest.raises(ConfinedError, match="died"):
        frugal.ask(wish, photo(), 10)
    assert (impatient.pid, frugal.pid) == (None, None)


def test_a_decoder_knows_nothing_of_its_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSPINBOT_S3_SECRET_KEY", "planted")
    helper = Helper(decoder.__name__, decoder.LIMITS)
    helper.ask({"kind": "picture", "label": "it"}, photo(), 1 << 20)
    told = Path(f"/proc/{helper.pid}/environ").read_bytes()
    helper.close()
    assert b"planted" not in told
    assert b"MYSPINBOT" not in told


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_kind_of_picture_is_decoded_in_confinement(kind: str) -> None:
    file = io.BytesIO()
    picture = Image.new("RGB", (300, 200), "teal")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(file, kind, **({"exif": exif} if kind in ("JPEG", "WEBP", "AVIF") else {}))
    helper = Helper(decoder.__name__, decoder.LIMITS)
    told, made = helper.ask({"kind": "picture", "label": "it"}, file.getvalue(), 1 << 20)
    helper.close()
    assert len(made) == 3 * 300 * 200
    assert sorted(told["shape"]) == [3, 200, 300]
