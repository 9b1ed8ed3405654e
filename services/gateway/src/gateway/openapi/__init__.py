"""The OpenAPI document: what FastAPI sees of the routes, and what it cannot see."""

from gateway.openapi.bodies import GENERATE, JOBS, STATUS_RESPONSES, TRAIN
from gateway.openapi.document import describe

__all__ = ["GENERATE", "JOBS", "STATUS_RESPONSES", "TRAIN", "describe"]
