"""The read models, one small module each: tables, rows from changes, answers, and a version.

A module here that defines `PROJECTION` is one of them. To change what a projection keeps, raise
its version and the number in its tables' names: the projector fills the new tables from the
first event on (docs/projections.md).
"""

from projector.discovery import discover
from projector.projection import Projection

ALL: tuple[Projection, ...] = discover(__name__, __path__)
"""Every projection that this version keeps."""
