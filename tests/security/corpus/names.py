"""Names of photos that would lead elsewhere, show something else, or become lines of a header."""

from __future__ import annotations

from tests.security.corpus.inputs import Harmless, Place, hostile, refused

_HARMLESS = Harmless()


@hostile(Place.NAME, _HARMLESS)
def way_up() -> str:
    """Out of the folder, to a file of the machine."""
    return "../../../../etc/passwd"


@hostile(Place.NAME, _HARMLESS)
def way_up_on_windows() -> str:
    """The same for a machine with backslashes."""
    return "..\\..\\windows\\system32\\config\\sam"


@hostile(Place.NAME, _HARMLESS)
def absolute_way() -> str:
    """A whole path."""
    return "/etc/cron.d/job"


@hostile(Place.NAME, _HARMLESS)
def name_that_ends_early() -> str:
    """Ends for C where it does not for Python."""
    return "photo.png\0.sh"


@hostile(Place.NAME, _HARMLESS)
def name_that_reads_backwards() -> str:
    """Shown as `photo-exe.png`, and named otherwise."""
    return "photo-\u202egnp.exe"


@hostile(Place.NAME, _HARMLESS)
def name_within_isolates() -> str:
    """The same by isolates, which editors show as little."""
    return "photo\u2066\u2067gnp.exe\u2069\u2069"


@hostile(Place.NAME, refused(422, "not-a-picture"))
def name_with_lines_of_a_header() -> str:
    """Would end a header and begin another; what follows it is then the file."""
    return "a.png\r\nSet-Cookie: session=mine\r\n\r\n<script>"


@hostile(Place.NAME, _HARMLESS)
def name_with_a_page() -> str:
    """Would be a script in a page that does not mind."""
    return '"><img src=x onerror=alert(1)>.png'


@hostile(Place.NAME, _HARMLESS)
def name_that_drives_a_terminal() -> str:
    """Would set the title of a terminal and clear it."""
    return "\x1b]0;mine\x07\x1b[2Ja.png\x9b31m"


@hostile(Place.NAME, refused(400, "malformed-body"))
def name_without_end() -> str:
    """Longer than any file system has names."""
    return "a" * 60_000 + ".png"
