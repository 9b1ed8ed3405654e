"""Webhook targets that lead into the network that the gateway is in."""

from __future__ import annotations

from tests.security.corpus.inputs import Expected, Place, failed, hostile, refused

_AT_ONCE = refused(422, "target-not-allowed")
_NO_URL = refused(422, "invalid-request")
_LATER = failed("the target is at an address that must not be called")


def _target(name: str, url: str, tries: str, expected: Expected) -> None:
    def make() -> str:
        return url

    make.__name__, make.__doc__ = name, tries
    hostile(Place.TARGET, expected)(make)


for _name, _url, _tries, _expected in (
    ("loopback", "http://127.0.0.1:8787/", "The machine itself.", _AT_ONCE),
    ("loopback_of_ipv6", "http://[::1]/", "The machine itself.", _AT_ONCE),
    ("loopback_within_ipv6", "http://[::ffff:127.0.0.1]/", "The same, dressed up.", _AT_ONCE),
    ("loopback_through_nat64", "http://[64:ff9b::7f00:1]/", "The same, translated.", _AT_ONCE),
    ("loopback_through_6to4", "http://[2002:7f00:1::]/", "The same, in a tunnel.", _AT_ONCE),
    ("loopback_as_a_number", "http://2130706433/", "The same as one number.", _LATER),
    ("loopback_in_hexadecimal", "http://0x7f000001/", "The same in hexadecimal.", _LATER),
    ("loopback_in_octal", "http://0177.0.0.1/", "The same in octal.", _NO_URL),
    ("loopback_in_short", "http://127.1/", "The same, shortened.", _LATER),
    ("nowhere", "http://0.0.0.0/", "What many systems take for themselves.", _AT_ONCE),
    ("local_name", "http://localhost/", "A name that leads to the machine.", _LATER),
    ("private_network", "http://10.0.0.1/", "A neighbour.", _AT_ONCE),
    ("private_network_of_homes", "http://192.168.1.1/", "A router.", _AT_ONCE),
    ("private_network_of_ipv6", "http://[fd00::1]/", "A neighbour.", _AT_ONCE),
    ("carriers_network", "http://100.64.0.1/", "A provider's network.", _AT_ONCE),
    ("metadata", "http://169.254.169.254/latest/", "A cloud's secrets.", _AT_ONCE),
    ("metadata_of_ipv6", "http://[fd00:ec2::254]/", "A cloud's secrets.", _AT_ONCE),
    ("link_local", "http://[fe80::1]/", "A neighbour on the same cable.", _AT_ONCE),
    ("everybody", "http://224.0.0.1/", "All neighbours at once.", _AT_ONCE),
    ("file", "file:///etc/passwd", "A file of the machine.", _NO_URL),
    ("gopher", "gopher://127.0.0.1:6379/_SET", "Another protocol.", _NO_URL),
    ("name_and_password", "http://a:b@example.org/", "A host that looks like another.", _NO_URL),
    ("lines", "http://example.org/\r\nX-Mine: 1", "Lines of a header.", _NO_URL),
    ("wrong_port", "http://example.org:99999/", "A port that wraps around.", _NO_URL),
):
    _target(_name, _url, _tries, _expected)
