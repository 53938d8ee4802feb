"""Calls gathered into job arrays. The queue says only that a job is over; what came of it stands in the store.

Nothing here waits for submitit's own result: without accounting it is never told that a job was killed.
"""

import getpass
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit

if TYPE_CHECKING:
    from xferbench_slurm import Slurm

QUIET = 0.3
"""Seconds without a further call after which those at hand become an array."""
Call = tuple[Future, list[str], float | None]


class SlurmPool(Executor):
    """One thread submits what was gathered and looks into the queue."""

    def __init__(self, settings: "Slurm") -> None:
        self._settings = settings
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._jobs: list[tuple[Any, Future]] = []
        self._hand = threading.Thread(target=self._serve, daemon=True)
        self._hand.start()

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Submit steps: fn(recipes, timeout) is what `xferbench step` does, and this is what the job calls."""
        recipes, timeout = args
        future: Future = Future()
        self._calls.put((future, recipes, timeout))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop looking; jobs whose end the queue has not told are left to it."""
        self._calls.put(None)
        if wait:
            self._hand.join()

    def stop(self) -> None:
        """Cancel what is queued or running."""
        self.shutdown()
        for job, future in self._jobs:
            if not future.done():
                job.cancel()

    def _serve(self) -> None:
        while True:
            calls, open_ = self._gather()
            size = max(1, self._settings.array)
            for start in range(0, len(calls), size):
                self._submit(calls[start : start + size])
            if not open_:
                return
            self._look()

    def _gather(self) -> tuple[list[Call], bool]:
        calls: list[Call] = []
        patience = self._settings.look
        while True:
            try:
                call = self._calls.get(timeout=patience)
            except queue.Empty:
                return calls, True
            if call is None:
                return [], False
            calls.append(call)
            patience = QUIET

    def _submit(self, calls: list[Call]) -> None:
        store = Path(calls[0][1][0]).parents[2]
        try:
            executor = self._executor(store / "slurm")
            with executor.batch():
                jobs = [executor.submit(submitit.helpers.CommandFunction(command(*call[1:]))) for call in calls]
        except Exception as error:  # sbatch said no, or the controller is away
            for future, _, _ in calls:
                future.set_exception(error)
            return
        self._jobs += [(job, call[0]) for job, call in zip(jobs, calls, strict=True)]

    def _executor(self, folder: Path) -> Any:
        settings = self._settings
        executor = submitit.AutoExecutor(folder, cluster=settings.cluster)
        options: dict[str, Any] = dict(one.partition("=")[::2] for one in settings.options)
        given = {"partition": settings.partition, "account": settings.account, "qos": options.pop("qos", "")}
        values = {f"slurm_{key}": value for key, value in given.items() if value}
        if settings.throttle:
            values["slurm_array_parallelism"] = settings.throttle
        if settings.memory:
            values["mem_gb"] = settings.memory
        if settings.gpus:
            values["gpus_per_node"] = settings.gpus
        if settings.requeue:
            options["requeue"] = True
        executor.update_parameters(
            name="xferbench",
            timeout_min=settings.time,
            cpus_per_task=settings.cpus,
            slurm_additional_parameters=options,
            **values,
        )
        return executor

    def _look(self) -> None:
        going = [(job, future) for job, future in self._jobs if not future.done()]
        if not going:
            return
        listed = queued() if self._settings.cluster == "slurm" else None
        for job, future in going:
            over = job.done() if self._settings.cluster != "slurm" else listed is not None and job.job_id not in listed
            if over:
                future.set_result(None)
        self._jobs = going


def command(recipes: list[str], timeout: float | None) -> list[str]:
    """Return the command line that does the steps of these recipes."""
    limit = [] if timeout is None else ["--step-timeout", str(timeout)]
    return [sys.executable, "-m", "xferbench.cli", "step", *recipes, *limit]


def queued() -> set[str] | None:
    """Return the ids of this user's jobs that are pending or running; None when the queue cannot be asked now."""
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return set(asked.stdout.split()) if asked.returncode == 0 else None
