"""A slow operation in a process of its own: started, followed, stopped, found again after a restart."""

from darkroom.jobs.ending import ending_error
from darkroom.jobs.events import read_events
from darkroom.jobs.following import follow
from darkroom.jobs.runner import JobRunner, is_served

__all__ = ["JobRunner", "ending_error", "follow", "is_served", "read_events"]
