"""The library's client, with a faster reader of message headers.

An event has a dozen headers, and the library checks each character of each name: that was half the
time of reading the log. Here a block of headers is decoded at once.
"""

from __future__ import annotations

from nats.aio.client import Client

_BLANK = " \t\n\r\v\f"


class QuickClient(Client):
    """`nats.aio.client.Client`, but quicker at what the log is full of.

    The method is not one of the library's public ones. Should it get another name there, this one
    is not called any more and reading is slower, as a test will say (test_reader.py).
    """

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """The headers in a block of `Name: Value` lines; a line that is none is left out."""
        headers = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.strip(_BLANK)
            if colon and name.isascii() and " " not in name:
                headers[name] = value.strip(_BLANK)
        return headers
