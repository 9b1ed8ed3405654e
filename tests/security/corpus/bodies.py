"""Requests and messages that are too deep, too long, too many, or not what they say."""

from __future__ import annotations

import gzip
import json

from tests.security.corpus.inputs import Harmless, Place, Sent, hostile, refused

_MALFORMED = refused(400, "malformed-body")
_INVALID = refused(422, "invalid-request")
_LARGE = refused(413, "upload-too-large")
_FORM = (("Content-Type", "multipart/form-data; boundary=b"),)
_JSON = (("Content-Type", "application/json"),)


@hostile(Place.REQUEST, _MALFORMED)
def json_of_a_hundred_thousand_brackets() -> Sent:
    """Deeper than a parser's stack."""
    return Sent("POST", "/api/jobs", b"[" * 100_000)


@hostile(Place.REQUEST, _INVALID)
def parameters_a_hundred_deep() -> Sent:
    """Deep enough for whoever reads the log afterwards."""
    deep = "[" * 100 + "]" * 100
    return Sent("POST", "/api/jobs", f'{{"type":"train","params":{{"a":{{"b":{deep}}}}}}}'.encode())


@hostile(Place.REQUEST, refused(422, "invalid-request", "consent:"))
def consent_that_reads_backwards() -> Sent:
    """A consent that is shown as somebody else's."""
    said = {"who": "a\u202eb", "basis": "self", "purpose": "x", "covers": ["face"]}
    return Sent("POST", "/api/jobs", json.dumps({"type": "train", "consent": said}).encode())


@hostile(Place.REQUEST, _LARGE)
def json_of_a_megabyte() -> Sent:
    """More than any description needs."""
    return Sent("POST", "/api/jobs", json.dumps({"type": "train", "name": "a" * 10**6}).encode())


@hostile(Place.REQUEST, _LARGE)
def json_of_a_megabyte_to_a_short_route() -> Sent:
    """The same where files never come."""
    return Sent("POST", "/api/tokens", json.dumps({"name": "a" * 10**6}).encode())


@hostile(Place.REQUEST, _MALFORMED)
def number_of_a_hundred_thousand_digits() -> Sent:
    """A number whose conversion takes time that grows with its square."""
    return Sent("POST", "/api/jobs", b'{"seed":' + b"9" * 100_000 + b"}")


@hostile(Place.REQUEST, _INVALID)
def ten_thousand_members() -> Sent:
    """Members that nobody knows; each would have an error of its own."""
    members = {f"m{number}": 0 for number in range(10_000)}
    return Sent("POST", "/api/jobs", json.dumps({"type": "train"} | members).encode())


@hostile(Place.REQUEST, refused(422, "invalid-request", "name:"))
def name_with_control_characters() -> Sent:
    """A name that would drive a terminal."""
    return Sent("POST", "/api/jobs", json.dumps({"type": "train", "name": "\x1b[2J"}).encode())


@hostile(Place.REQUEST, refused(422, "invalid-request", "name:"))
def name_that_reads_backwards() -> Sent:
    """A profile's name that is shown as another one."""
    return Sent("POST", "/api/jobs", json.dumps({"type": "train", "name": "a\u202eb"}).encode())


@hostile(Place.REQUEST, refused(422, "invalid-request", "body.name:"))
def token_that_reads_backwards() -> Sent:
    """A token's name that is shown as another one, in the list by which it is revoked."""
    return Sent("POST", "/api/tokens", json.dumps({"name": "a\u202eb"}).encode())


@hostile(Place.REQUEST, refused(422, "invalid-request", "uploads.photoNames.0:"))
def names_of_uploads_that_read_backwards() -> Sent:
    """Names of photos in JSON, which no form has made plain."""
    uploads = {"photos": ["a"], "photoNames": ["photo-\u202egnp.exe"]}
    return Sent("POST", "/api/jobs", json.dumps({"type": "train", "uploads": uploads}).encode())


@hostile(Place.REQUEST, _MALFORMED)
def json_that_is_packed() -> Sent:
    """A gzip bomb that says to be JSON; nobody unpacks it."""
    packed = gzip.compress(b'{"a":"' + b"a" * (64 << 20) + b'"}')
    return Sent("POST", "/api/jobs", packed, (*_JSON, ("Content-Encoding", "gzip")))


@hostile(Place.REQUEST, _MALFORMED)
def form_that_has_no_end() -> Sent:
    """A form whose last boundary never comes."""
    return Sent("POST", "/api/train", b"--b\r\n" + b"a" * 10_000, _FORM)


@hostile(Place.REQUEST, _MALFORMED)
def form_whose_part_has_endless_headers() -> Sent:
    """A part of a form with a header of a megabyte."""
    head = b'Content-Disposition: form-data; name="image"; filename="' + b"a" * 10**6 + b'"'
    return Sent("POST", "/api/train", b"--b\r\n" + head + b"\r\n\r\n--b--\r\n", _FORM)


@hostile(Place.REQUEST, refused(422, "unknown-field"))
def form_of_ten_thousand_parts() -> Sent:
    """Parts without end."""
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    return Sent("POST", "/api/train", part * 10_000 + b"--b--\r\n", _FORM)


@hostile(Place.REQUEST, _INVALID)
def script_of_a_hundred_thousand_characters() -> Sent:
    """More to speak than would be spoken in a day."""
    body = {"type": "generate", "script": "word " * 20_001}
    return Sent("POST", "/api/jobs", json.dumps(body).encode())


@hostile(Place.REQUEST, _INVALID)
def graph_of_eight_thousand_stages() -> Sent:
    """A pipeline that would keep the planner busy for ever."""
    stages = [{"id": f"s{number}", "kind": "k"} for number in range(8_000)]
    body = json.dumps({"type": "pipeline", "graph": {"stages": stages}}, separators=(",", ":"))
    return Sent("POST", "/api/jobs", body.encode())


@hostile(Place.REQUEST, _INVALID)
def graph_that_leads_to_itself() -> Sent:
    """Stages that wait for each other."""
    inputs = {
        "a": {"x": {"stage": "b", "output": "y"}},
        "b": {"x": {"stage": "a", "output": "y"}},
    }
    stages = [{"id": name, "kind": "k", "inputs": given} for name, given in inputs.items()]
    body = {"type": "pipeline", "graph": {"stages": stages}}
    return Sent("POST", "/api/jobs", json.dumps(body).encode())


@hostile(Place.REQUEST, refused(404, "not-found"))
def job_of_another_folder() -> Sent:
    """An id that leads out of the folder, written for a server that unfolds it."""
    return Sent("GET", "/api/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd")


@hostile(Place.REQUEST, refused(404, "not-found"))
def file_beside_the_page() -> Sent:
    """A file of the gateway's own machine, by way of the page's files."""
    return Sent("GET", "/page/..%2f..%2fmain.py")


@hostile(Place.REQUEST, refused(404, "no-such-job"))
def job_that_is_a_wildcard() -> Sent:
    """An id that is a wildcard where subjects are made of it."""
    return Sent("GET", "/api/jobs/%3E")


@hostile(Place.REQUEST, refused(421, "foreign-host"))
def host_of_somebody_else() -> Sent:
    """A name that an attacker's page has made to lead here (DNS rebinding)."""
    return Sent("GET", "/api/jobs", headers=(("Host", "evil.example"),))


@hostile(Place.REQUEST, refused(403, "foreign-origin"))
def form_of_another_site() -> Sent:
    """A form on an attacker's page, sent by the browser of whoever looks at it."""
    body = b'{"name":"x"}'
    return Sent("POST", "/api/tokens", body, (*_JSON, ("Origin", "https://evil.example")))


@hostile(Place.REQUEST, _INVALID)
def key_of_lines() -> Sent:
    """An idempotency key that is far too long to be one."""
    return Sent("POST", "/api/tokens", b'{"name":"x"}', (*_JSON, ("Idempotency-Key", "k" * 5_000)))


@hostile(Place.REQUEST, Harmless())
def ranges_without_number() -> Sent:
    """A thousand overlapping ranges, each of which a careless server sends whole."""
    ranges = ",".join(f"{n}-" for n in range(1_000))
    return Sent("GET", "/openapi.json", headers=(("Range", f"bytes={ranges}"),))


@hostile(Place.WIRE, Harmless())
def header_within_an_address() -> bytes:
    """Lines of a header within the address, to be found again in an answer."""
    return (
        b"GET /api/jobs?before=a%0d%0aSet-Cookie:%20session=mine HTTP/1.1\r\n"
        b"Host: localhost\r\nConnection: close\r\n\r\n"
    )


@hostile(Place.WIRE, Harmless())
def request_within_a_request() -> bytes:
    """Two lengths, so that a proxy and the gateway disagree where the request ends."""
    return (
        b"POST /api/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"0\r\n\r\nGET /api/capabilities HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )


@hostile(Place.WIRE, Harmless())
def length_below_nothing() -> bytes:
    """A body of minus one byte."""
    head = b"POST /api/tokens HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return head + b"Content-Length: -1\r\n\r\n"


@hostile(Place.WIRE, Harmless())
def head_without_end() -> bytes:
    """Headers that never end."""
    return b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000


@hostile(Place.WIRE, Harmless())
def no_http_at_all() -> bytes:
    """A greeting in another language."""
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)


@hostile(Place.SOCKET, Harmless())
def message_of_a_thousand_brackets() -> list[str | bytes]:
    """Deeper than it means."""
    return ["[" * 2_000 + "]" * 2_000]


@hostile(Place.SOCKET, Harmless())
def message_of_a_megabyte() -> list[str | bytes]:
    """More than any message needs."""
    return ["a" * 10**6]


@hostile(Place.SOCKET, Harmless())
def messages_that_are_no_text() -> list[str | bytes]:
    """Bytes where words are expected."""
    return [bytes(range(256))] * 50


@hostile(Place.SOCKET, Harmless())
def subscriptions_to_wildcards() -> list[str | bytes]:
    """Jobs whose ids are wildcards of subjects."""
    ids = (">", "*", "*.>", "../x", "a b", "$SYS.>")
    return [json.dumps({"action": "subscribe", "jobId": job}) for job in ids]


@hostile(Place.SOCKET, Harmless())
def flood_of_wishes() -> list[str | bytes]:
    """Wishes without end, of which every one wants an answer."""
    return [json.dumps({"action": "subscribe", "jobId": f"j{n}"}) for n in range(3_000)]
