"""What a deployment needs of the machine: names that lead to it, ports, Docker, a GPU, a clock."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptography import x509

from myspinbot.doctor.findings import Finding, failed, passed, warned

OLDEST_COMPOSE = (2, 24)
"""The first that takes `!reset` and `start_interval`, which compose.yml uses."""
_CPU_FILE = "compose.cpu.yml"
_PORTS = {"MYSPINBOT_HTTP": 80, "MYSPINBOT_HTTPS": 443}


def resolved(names: list[str], look_up: Callable[[str], list[str]]) -> Iterator[Finding]:
    """Whether the names lead anywhere."""
    unknown = [name for name in names if not look_up(name)]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        yield warned(
            "names",
            f"{unknown[0]}{more} cannot be found from this machine.",
            "Enter them in your DNS server, or in the hosts file of each machine that uses them: "
            "sudo myspinbot provision --write-hosts",
        )
        return
    elsewhere = sorted({address for name in names for address in look_up(name)})
    yield passed("names", f"{len(names)} lead to {', '.join(elsewhere)}")


def addresses_of(name: str) -> list[str]:
    """The addresses of a name; none if it is not known."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(each[4][0]) for each in found})


def ports(settings: Mapping[str, str], certificate: Path, name: str) -> Iterator[Finding]:
    """Whether Traefik has its ports, or can get them."""
    address = settings.get("MYSPINBOT_ADDRESS") or "127.0.0.1"
    for variable, usual in _PORTS.items():
        text = settings.get(variable) or str(usual)
        if not text.isdecimal() or not 0 < int(text) < 65536:
            yield failed(
                "ports",
                f"{variable} is {text!r}, which is no port.",
                f"Set it to a number, such as {usual}, in deploy/secrets/env.",
            )
            continue
        port = int(text)
        near = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - all of them
        if not _answers(near, port):
            yield passed("ports", f"{port} is free")
        elif variable == "MYSPINBOT_HTTPS":
            yield _shown(near, port, certificate, name)
        elif _is_traefik(near, port, name):
            yield passed("ports", f"{port} sends browsers on to TLS")
        else:
            yield _taken(port, variable)


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def _is_traefik(address: str, port: int, name: str) -> bool:
    """Whether somebody there redirects our name to TLS."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.settimeout(2)
            connection.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
            return f"https://{name}".encode() in connection.recv(4096)
    except OSError:
        return False


def _shown(address: str, port: int, certificate: Path, name: str) -> Finding:
    """What certificate is shown at the port of TLS."""
    context = ssl.create_default_context()
    # Whatever it shows is looked at, and compared with ours byte by byte.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=2) as connection,
            context.wrap_socket(connection, server_hostname=name) as secure,
        ):
            shown = secure.getpeercert(binary_form=True) or b""
        ours = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        theirs = x509.load_der_x509_certificate(shown)
    except (OSError, ValueError):
        return _taken(port, "MYSPINBOT_HTTPS")
    if theirs == ours:
        return passed("ports", f"{port} answers with the certificate of this deployment")
    if theirs.issuer == ours.issuer:
        return warned(
            "ports",
            f"At port {port} an earlier certificate is shown, until "
            f"{theirs.not_valid_after_utc:%Y-%m-%d}.",
            "Give Traefik the new one: docker compose --env-file deploy/secrets/env up --detach "
            "--force-recreate traefik",
        )
    return _taken(port, "MYSPINBOT_HTTPS")


def _taken(port: int, variable: str) -> Finding:
    return failed(
        "ports",
        f"Port {port} is in use by another program.",
        f"End it (find it: ss -ltnp 'sport = :{port}'), or set {variable} to another port in "
        "deploy/secrets/env.",
    )


def compose(version: str | None) -> Finding:
    """Whether Docker's Compose is there, and new enough."""
    if version is None:
        return warned(
            "compose",
            "Docker with Compose v2 cannot be run from here.",
            "Install Docker Engine with its compose plugin, if this machine is to run it.",
        )
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_COMPOSE:
        wanted = ".".join(map(str, OLDEST_COMPOSE))
        return failed("compose", f"Compose {version} is too old.", f"Install {wanted} or newer.")
    return passed("compose", f"Compose {version}")


def compose_version() -> str | None:
    """The version of Docker's Compose, or None if it cannot be run."""
    docker = shutil.which("docker")
    return _told([docker, "compose", "version", "--short"]) if docker else None


def graphics(settings: Mapping[str, str], driver: str | None, runtime: str | None) -> Finding:
    """Whether there is the GPU that the runner reserves; `runtime` is NVIDIA's for containers."""
    if _CPU_FILE in settings.get("COMPOSE_FILE", ""):
        return passed("graphics", f"none is reserved ({_CPU_FILE})")
    if driver is None:
        return failed(
            "graphics",
            "compose.yml reserves an NVIDIA GPU for the runner, and this machine has none.",
            f"Add the line COMPOSE_FILE=compose.yml:{_CPU_FILE} to deploy/secrets/env, or install "
            "NVIDIA's driver.",
        )
    if runtime is None:
        return failed(
            "graphics",
            f"There is an NVIDIA GPU (driver {driver}), and containers cannot use it.",
            "Install the NVIDIA Container Toolkit, then: sudo nvidia-ctk runtime configure "
            "--runtime=docker && sudo systemctl restart docker",
        )
    return passed("graphics", f"NVIDIA driver {driver}, for containers too")


def clock(is_synchronised: bool | None) -> Finding:
    """Whether the clock is kept right; None if that is not known."""
    if is_synchronised is None:
        return passed("clock", "whether it is synchronised is not known here")
    if is_synchronised:
        return passed("clock", "synchronised")
    return warned(
        "clock",
        "The clock of this machine is not synchronised: certificates, signed links and the order "
        "of traces go wrong when it drifts.",
        "Turn on time synchronisation: sudo timedatectl set-ntp true",
    )


def synchronised() -> bool | None:
    """What systemd says of the clock; None where there is none."""
    control = shutil.which("timedatectl")
    told = _told([control, "show", "-p", "NTPSynchronized", "--value"]) if control else None
    return {"yes": True, "no": False}.get(told or "")


def _told(command: list[str]) -> str | None:
    try:
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip() or None
