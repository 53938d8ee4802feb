"""Runs steps on a Ray cluster: one that is there, by its address, or one started on this machine."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import UsageError, hookimpl


@dataclass(frozen=True)
class Ray:
    """A Ray cluster whose machines share a file system; each job is a task of Ray Core with its CPUs and GPUs."""

    name: ClassVar[str] = "ray"
    remote: ClassVar[bool] = True
    address: str = "local"
    """Of a running cluster: auto, or host:port; local: one is started on this machine for the run."""
    cpus: float = 1.0
    """CPUs a job."""
    gpus: float = 0.0
    """GPUs a job; Ray sets CUDA_VISIBLE_DEVICES for it."""
    jobs: int = 256
    """Jobs handed to Ray at a time; it queues what does not fit."""
    retries: int = 0
    """How often Ray itself begins a job again that lost its worker or machine; xferbench does so once in any case."""
    lag: float = 10.0
    """Seconds that the shared file system may take to show a result."""

    def pool(self, jobs: int) -> Any:
        """Connect to the cluster, or start it; UsageError when it cannot be had."""
        try:
            import ray  # noqa: F401
        except ImportError:
            raise UsageError("executor ray needs Ray: pip install 'xferbench[ray]'") from None
        from xferbench_ray.tasks import RayPool

        return RayPool(self)


@hookimpl
def provide_executors() -> list[type[Ray]]:
    """Provide ray."""
    return [Ray]
