"""Runs steps on this machine, in worker processes that load the heavy libraries once and are used again."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from xferbench import hookimpl


class LocalPool(ProcessPoolExecutor):
    """A process pool that can be stopped in the middle of its work."""

    def stop(self) -> None:
        """End the workers now, whatever they are at."""
        workers = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(5)


@dataclass(frozen=True)
class Local:
    """This machine: one process a job, each with its share of the cores (or one GPU)."""

    name: ClassVar[str] = "local"
    threads: int | None = None
    """Threads a process; None: the cores shared out evenly."""

    def pool(self, jobs: int) -> LocalPool:
        """Open `jobs` fresh processes: a forked one would inherit threads and CUDA state in an unknown condition."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = self.threads or max(1, cores // jobs)
        context = multiprocessing.get_context("spawn")
        devices = context.SimpleQueue()
        for device in range(jobs):
            devices.put(device)
        return LocalPool(jobs, mp_context=context, initializer=_begin, initargs=(threads, jobs, devices))


def _begin(threads: int, jobs: int, devices: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    """Prepare a worker: Ctrl-C is the parent's to handle; threads and GPU are set before torch is imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if jobs > 1 and os.path.exists("/dev/nvidia0"):
        visible = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
        device = devices.get()
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[device % len(visible)] if visible else str(device)


@hookimpl
def provide_executors() -> list[type[Local]]:
    """Provide local."""
    return [Local]
