"""The read models, one small module each: tables, rows from changes, answers, and a version.

To change what a projection keeps, raise its version and the number in its tables' names: the
projector fills the new tables from the first event on.
"""

from projector.projection import Projection
from projector.projections import jobs, objects, profiles, stages, timeline

ALL: tuple[Projection, ...] = (
    jobs.PROJECTION,
    stages.PROJECTION,
    objects.PROJECTION,
    profiles.PROJECTION,
    timeline.PROJECTION,
)
"""Every projection that this version keeps."""
