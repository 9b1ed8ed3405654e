"""How jobs stand at this moment, and what is told of them as it happens."""

from gateway.live.job import Listener, LiveJob, Wait
from gateway.live.table import LiveJobs

__all__ = ["Listener", "LiveJob", "LiveJobs", "Wait"]
