"""What a `traceparent` names, whoever wrote it."""

import pytest
from contracts.spans import ids_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_trace_context_names_a_trace_and_a_span() -> None:
    assert ids_of(f"00-{TRACE}-{SPAN}-01") == (TRACE, SPAN)


@pytest.mark.parametrize(
    "other", [None, "", "00", "none at all", f"00-{TRACE}", f"00-{TRACE.upper()}-{SPAN}-01"]
)
def test_anything_else_names_nothing(other: str | None) -> None:
    assert ids_of(other) == (None, None)
