"""What tests of the deployment share."""

from __future__ import annotations

import pytest

from tests.support.kubernetes import OVERLAYS, Object, rendered


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """All that an overlay for Kubernetes makes, for one overlay after the other."""
    return rendered(request.param)
