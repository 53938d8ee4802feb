"""The calls of a run as tasks of Ray. Ray loads a process once and uses it again, as the local workers are."""

import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import ray

from xferbench import UsageError

if TYPE_CHECKING:
    from xferbench_ray import Ray

CARRIED = ("XFERBENCH_", "HF_", "TOKENIZERS_", "PYTHONPATH")
"""The variables of this process that a worker needs too, by their beginnings."""


class RayPool(Executor):
    """Hands calls to a cluster; a future raises when its worker or machine was lost."""

    def __init__(self, settings: "Ray") -> None:
        self._settings = settings
        self._ours = not ray.is_initialized()
        self._tasks: list[Any] = []
        if self._ours:
            where = None if settings.address == "local" else settings.address
            try:
                ray.init(address=where, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:  # Ray raises anything here, a bare Exception among it
                line = " ".join(str(error).split())[:200]
                raise UsageError(f"no Ray cluster ({settings.address}): {line}") from error

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call fn(*args) on the cluster, in this working directory and with this process's settings."""
        settings = self._settings
        env = {key: value for key, value in os.environ.items() if key.startswith(CARRIED)}
        task = (
            ray.remote(_call)
            .options(
                name="xferbench",
                num_cpus=settings.cpus,
                num_gpus=settings.gpus,
                max_retries=settings.retries,
                scheduling_strategy="SPREAD",
            )
            .remote(env, os.getcwd(), fn, args, kwargs)
        )
        self._tasks.append(task)
        return task.future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the cluster; one that was started here ends."""
        if self._ours and ray.is_initialized():
            ray.shutdown()

    def stop(self) -> None:
        """End what is running."""
        for task in self._tasks:
            ray.cancel(task, force=True)


def _call(env: dict[str, str], folder: str, fn: Callable, args: tuple, kwargs: dict) -> Any:
    os.environ.update(env)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    os.chdir(folder)
    return fn(*args, **kwargs)
