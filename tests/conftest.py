"""What must hold after every test that has run a job, whatever it broke on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import RunningStack


@pytest.fixture(autouse=True)
def _views_match_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """The views are what the log makes of them."""
    yield
    stack = request.node.funcargs.get("stack")
    if isinstance(stack, RunningStack):
        stack.assert_views_match_log()
