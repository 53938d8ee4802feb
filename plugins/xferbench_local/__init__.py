"""Runs steps on this machine, in worker processes that load the heavy libraries once and are used again."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import UsageError, hookimpl


@dataclass(frozen=True)
class Local:
    """This machine: one process a job, each with its share of the cores (or one GPU)."""

    name: ClassVar[str] = "local"
    threads: int | None = None
    """Threads a process; None: the cores shared out evenly."""
    memory: float | None = None
    """GiB that a process may hold between steps before a fresh one takes its place; None: its share of 80 %."""

    def __post_init__(self) -> None:
        for key, value in (("threads", self.threads), ("memory", self.memory)):
            if value is not None and value <= 0:
                raise UsageError(f"executor local: {key} must be above 0, not {value}")

    def pool(self, jobs: int) -> Any:
        """Open a pool of `jobs` worker processes."""
        from xferbench_local.pool import open_pool

        return open_pool(jobs, self.threads, self.memory)


@hookimpl
def provide_executors() -> list[type[Local]]:
    """Provide local."""
    return [Local]
