"""A process pool whose workers know their share of the machine before torch is loaded, and that can be stopped."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any


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


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_pool(jobs: int, threads: int | None) -> LocalPool:
    """Open `jobs` fresh processes: a forked one would inherit threads and CUDA state in an unknown condition."""
    context = multiprocessing.get_context("spawn")
    devices = context.SimpleQueue()
    for device in range(jobs):
        devices.put(device)
    share = threads or max(1, cores() // jobs)
    return LocalPool(jobs, mp_context=context, initializer=_begin, initargs=(share, jobs, devices))


def _end_with_parent() -> None:
    """Wait for the parent's end, whatever ends it, and end too: nobody would take this worker's result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _begin(threads: int, jobs: int, devices: Any) -> None:
    """Prepare a worker: Ctrl-C is the parent's to handle; threads and GPU are set before torch is imported."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if jobs > 1 and os.path.exists("/dev/nvidia0"):
        visible = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
        device = devices.get()
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[device % len(visible)] if visible else str(device)
