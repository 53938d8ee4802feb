"""Worker processes that know their share of the machine before torch is loaded; one that dies is replaced alone."""

import multiprocessing
import multiprocessing.connection
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import ModuleType
from typing import Any

CONTEXT = multiprocessing.get_context("spawn")  # a forked process inherits threads and CUDA state in unknown condition

STARTING = threading.Lock()
"""Held while a worker starts: the main module is another one meanwhile."""


class WorkerDied(RuntimeError):
    """The process that ran a call ended before it answered."""


class LocalPool(Executor):
    """One thread a worker process: it hands over a call, waits for the answer, and sees when its process dies."""

    def __init__(self, jobs: int, threads: int, most: float) -> None:
        self._calls: queue.SimpleQueue[tuple[Future, Callable, tuple] | None] = queue.SimpleQueue()
        self._workers: dict[int, multiprocessing.process.BaseProcess] = {}
        self._jobs, self._threads, self._most, self._stopped = jobs, threads, most, False
        self._hands: list[threading.Thread] = []

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call fn(*args) in a worker. The future raises WorkerDied when that one dies; the others go on."""
        assert not kwargs, "arguments are passed by position"
        if not self._hands:
            self._hands = [
                threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(self._jobs)
            ]
            for hand in self._hands:
                hand.start()
        future: Future = Future()
        self._calls.put((future, fn, args))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when all that was submitted is done."""
        for _ in self._hands:
            self._calls.put(None)
        for hand in self._hands if wait else ():
            hand.join()
        self._hands = []

    def stop(self) -> None:
        """End the workers now, whatever they are at."""
        self._stopped = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(5)
            if worker.is_alive():
                worker.kill()
                worker.join()

    def _serve(self, slot: int) -> None:
        pipe = None
        while (call := self._calls.get()) is not None:
            future, fn, args = call
            if self._stopped or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            try:
                pipe = pipe or self._begin(slot)
                pipe.send((fn, args))
                good, value, size = pipe.recv()
            except (EOFError, OSError):
                self._end(slot, pipe)
                pipe = None
                future.set_exception(WorkerDied(f"its process ended with {self._workers[slot].exitcode}"))
                continue
            except Exception as error:  # what cannot be pickled
                future.set_exception(error)
                continue
            if size > self._most:
                self._end(slot, pipe)
                pipe = None
            if good:
                future.set_result(value)
            else:
                future.set_exception(value)
        self._end(slot, pipe)

    def _begin(self, slot: int) -> multiprocessing.connection.Connection:
        ours, theirs = CONTEXT.Pipe()
        worker = CONTEXT.Process(target=_work, args=(theirs, slot, self._jobs, self._threads), daemon=False)
        self._workers[slot] = worker
        _start_alone(worker)
        theirs.close()
        if self._stopped:
            worker.terminate()
        return ours

    def _end(self, slot: int, pipe: multiprocessing.connection.Connection | None) -> None:
        """A worker ends when nobody is at the other end of its pipe."""
        if pipe is not None:
            pipe.close()
            self._workers[slot].join()


def _start_alone(worker: multiprocessing.process.BaseProcess) -> None:
    """Start a worker that does not import the script which started the run: one without a guard would run again there.

    What a worker does comes to it by the names of modules, never out of that script.
    """
    with STARTING:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            worker.start()
        finally:
            sys.modules["__main__"] = script


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_pool(jobs: int, threads: int | None, memory: float | None) -> LocalPool:
    """Open a pool of `jobs` processes; one that holds more than its share of memory after a call is replaced.

    `memory`: the share in GiB; None: 80 % of the machine's, divided by `jobs`.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = 0.8 * whole / jobs if memory is None else memory * 2**30
    return LocalPool(jobs, threads or max(1, cores() // jobs), most)


def _end_with_parent() -> None:
    """Wait for the parent's end, whatever ends it, and end too: nobody would take this worker's result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _work(pipe: multiprocessing.connection.Connection, slot: int, jobs: int, threads: int) -> None:
    """Answer calls until the pipe is closed. Ctrl-C is the parent's to handle."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(surroundings(slot, jobs, threads, dict(os.environ), os.path.exists("/dev/nvidia0")))
    _bars_of_one_process()
    while True:
        try:
            fn, args = pipe.recv()
        except EOFError:
            return
        try:
            good, value = True, fn(*args)
        except BaseException as error:
            good, value = False, error
        try:
            pipe.send((good, value, held()))
        except OSError:
            return


def _bars_of_one_process() -> None:
    """Give tqdm a lock of threads: its own, among processes, is a named semaphore that a worker's end leaves behind."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


def surroundings(slot: int, jobs: int, threads: int, env: dict[str, str], gpus: bool) -> dict[str, str]:
    """Return the environment of a worker, to be set before torch is imported: its threads, and its own GPU."""
    found = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    found["TOKENIZERS_PARALLELISM"] = env.get("TOKENIZERS_PARALLELISM", "false")
    if jobs > 1 and gpus:
        visible = [device for device in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
        found["CUDA_VISIBLE_DEVICES"] = visible[slot % len(visible)] if visible else str(slot)
    return found


def held() -> int:
    """Return the bytes of memory that this process holds now (its peak, where the system does not say)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
