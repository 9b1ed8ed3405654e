"""Lets the pages of this gateway send parts of uploads straight to the object store.

Browsers ask the store first whether it wants requests from a page of another origin (CORS,
https://fetch.spec.whatwg.org/#http-cors-protocol); the bucket is told which pages are ours.
"""

from __future__ import annotations

import structlog
from servicekit.objects import ObjectStore, ObjectStoreError

from gateway.settings import Settings

log = structlog.get_logger(__name__)

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_MAX_AGE_S = 3600


def origins(settings: Settings) -> list[str]:
    """The origins of the gateway's own pages and of those that may use it."""
    own = {f"http://{name}:{settings.port}" for name in _LOOPBACK}
    for name in settings.hosts:
        own |= {f"http://{name}", f"https://{name}", f"http://{name}:{settings.port}"}
    return sorted(own | settings.origins)


async def admit(store: ObjectStore, settings: Settings) -> None:
    """Tell the bucket of the pages. A store that cannot be told is left as it is set up."""
    rule = {
        "AllowedOrigins": origins(settings),
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": _MAX_AGE_S,
    }
    try:
        await store.call(
            "put_bucket_cors", Bucket=store.bucket, CORSConfiguration={"CORSRules": [rule]}
        )
    except ObjectStoreError as error:
        log.warning(
            "objects.cors_not_set",
            detail=str(error),
            remedy="allow PUT from the gateway's origins in the bucket's own CORS rules",
        )
