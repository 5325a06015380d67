"""Where work runs: map a function over items, run a list of tasks; this machine now, a cluster later."""

from darkroom.engines.engine import Engine, Failure, Task, make_engine

__all__ = ["Engine", "Failure", "Task", "make_engine"]
