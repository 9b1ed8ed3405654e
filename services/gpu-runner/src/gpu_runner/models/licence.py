"""Under which terms weights may be used, and who accepted them.

The OpenRAIL licences bind whoever uses the weights to restrictions of use (their attachment A),
and Coqui's allows neither weights nor what is made with them to be used commercially: these must
be accepted before any byte is pulled. MIT and Creative Commons ask for no consent.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.base import Contract, Timestamp


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence; `hub_name` is what the model's card calls it, `url` where its text stands."""

    title: str
    hub_name: str
    url: str
    must_be_accepted: bool


class Acceptance(Contract):
    """That somebody, by the name that this machine knows, accepted a licence."""

    licence: str
    by: str
    at: Timestamp


_CARDS = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"

OPENRAIL_M = Licence("CreativeML OpenRAIL-M", "creativeml-openrail-m", _CARDS, True)
OPENRAIL_PP_M = Licence(
    "CreativeML OpenRAIL++-M",
    "openrail++",
    "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
    True,
)
# The card of the hub says "other", and names it in a field of its own.
SVD_COMMUNITY = Licence(
    "Stable Video Diffusion Community License (limits commercial use)",
    "other",
    "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt",
    True,
)
CPML = Licence(
    "Coqui Public Model License 1.0.0 (not for commercial use)",
    "other",
    "https://huggingface.co/coqui/XTTS-v2/blob/main/LICENSE.txt",
    True,
)
MIT = Licence("MIT", "mit", "https://opensource.org/license/mit", False)
CC_BY = Licence("CC BY 4.0", "cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/", False)
