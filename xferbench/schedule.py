"""The scheduling of a run: a step starts when what it needs is done and a worker is free.

What came of a step is read from the store alone; an executor's future only says that it is worth a look. So it does not
matter where a step ran, whether its answer got lost, or who else is at work in the same store.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xferbench import leakage
from xferbench.api import Executor
from xferbench.errors import UsageError, XferbenchError
from xferbench.job import look, timed_out, work
from xferbench.planned import Plan
from xferbench.progress import read_progress
from xferbench.ready import Ready
from xferbench.steps import Evaluate, Step
from xferbench.store import Store, running
from xferbench.work import preflight

TRIES = 2
"""How often a step is begun when the process under it dies (killed, out of memory, timed out) before it is given up."""
LOOK = 5.0
"""Seconds between looks into the store for a job whose future has not ended: the answer may have got lost."""
BUSY = 1.0
"""Seconds before a step is tried again that another process is at."""


@dataclass
class Progress:
    """What a face shows while steps run: counts, and the step each worker is at with its share done."""

    total: int
    done: int = 0
    failed: int = 0
    running: dict[str, tuple[Step, float, float | None]] = field(default_factory=dict)
    """Step id -> (step, seconds so far, share done)."""
    left: float | None = None
    """Seconds to the end, judged by the steps done so far."""


Watch = Callable[[Progress], None]


@dataclass
class Job:
    """Steps handed to an executor together, that are not settled yet."""

    steps: list[Step]
    future: Future[Any]
    began: float
    looked: float
    over: float | None = None
    """When its future was first seen to have ended."""


class Walk:
    """The scheduling of one run."""

    def __init__(self, plan: Plan, store: Store, executor: Executor, watch: Watch, failed: dict[str, str]) -> None:
        self.plan, self.store, self.executor, self.watch, self.failed = plan, store, executor, watch, failed
        self.remote = bool(getattr(executor, "remote", False))
        self.jobs = plan.experiment.jobs or getattr(executor, "jobs", None) or default_jobs(Path(plan.base.folder))
        self.progress = Progress(len(plan.steps))
        self.seconds: dict[str, list[float]] = {}
        self.running: list[Job] = []
        self.deaths: dict[str, int] = {}
        self.later: list[tuple[float, Step]] = []
        """Steps that another process is at, and when to try them again."""

    def walk(self, todo: list[Step]) -> None:
        """Do all of `todo` that can be done; what fails is told in `failed`."""
        self.progress.done = self.progress.total - len(todo)
        self.ready = Ready(todo)
        with self._pool() as pool:
            try:
                self._preflight(pool, todo)
                while self.ready.todo:
                    self._start(pool)
                    self._look()
                    self._show()
            except BaseException:
                stop = getattr(pool, "stop", None)
                if stop is not None:
                    stop()
                raise

    def _pool(self) -> Any:
        """Open the executor's pool; what a stranger's executor raises is told with its name."""
        try:
            return self.executor.pool(self.jobs)
        except XferbenchError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise UsageError(f"executor {self.executor.name} cannot open its pool: {what}") from error

    def _preflight(self, pool: Any, todo: list[Step]) -> None:
        """Ask whether each target can be measured: in a worker, or in a process here when workers are far away."""
        base = self.plan.base.folder
        targets = {step.target.name: step for step in todo if isinstance(step, Evaluate)}
        with ExitStack() as stack:
            if self.remote:
                context = multiprocessing.get_context("spawn")
                pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
            checks = [
                (preflight, base, vars(step.target), step.limit, number == 0 and not self.remote, not self.remote)
                for number, step in enumerate(targets.values())
            ]
            for check, future in [(check, pool.submit(*check)) for check in checks]:
                try:
                    found = future.result()
                except Exception:  # its process died: the memory may have been short for two at a time
                    try:
                        found = pool.submit(*check).result()
                    except Exception:
                        raise UsageError("the process that looked whether the targets can be measured died") from None
                if not found["ok"]:
                    raise UsageError(found["why"])
            for domain, n, texts in leakage.lacking(self.plan, self.store.root):
                if why := pool.submit(look, str(self.store.root), domain, n, texts).result():
                    raise UsageError(f"contamination of {domain} cannot be looked for: {why}")
        leakage.gate(self.plan, self.store)

    def _start(self, pool: Any) -> None:
        now = time.monotonic()
        for step in [step for when, step in self.later if when <= now]:
            self.ready.give_back(step)
        self.later = [(when, step) for when, step in self.later if when > now]
        for steps in self.ready.take(max(0, self.jobs - len(self.running)), self.remote):
            recipes = [str(self.store.ask(step).absolute()) for step in steps]
            future = pool.submit(work, recipes, self.plan.experiment.step_timeout)
            self.running.append(Job(steps, future, now, now))

    def _look(self) -> None:
        """Wait for a job to end, and see what has come of those that ended or were not looked at for a while."""
        going = [job.future for job in self.running if job.over is None]
        if len(going) == len(self.running) and going:
            wait(going, timeout=0.5, return_when=FIRST_COMPLETED)
        else:
            time.sleep(0.05)
        now = time.monotonic()
        for job in self.running:
            if job.over is None and job.future.done():
                job.over = now
            if job.over is not None or now - job.looked > LOOK:
                job.looked = now
                self._settle(job, now)
        self.running = [job for job in self.running if job.steps]

    def _settle(self, job: Job, now: float) -> None:
        answers, cause = _answer(job.future) if job.over is not None else ({}, "")
        left = []
        for step in job.steps:
            state, why = answers.get(step.id, ("", ""))
            if self.store.done(step):
                self._end(step, None)
            elif state == "busy":
                self.later.append((now + BUSY, step))
            elif state == "failed" or self.store.failure(step) is not None:
                self._end(step, why or self.store.failure(step) or "it failed")
            else:
                left.append(step)
        job.steps = left
        # A file system shared by machines may show a result some seconds after it was written.
        if left and job.over is not None and now - job.over >= getattr(self.executor, "lag", 0.0):
            job.steps = []
            for step in left[1:]:
                self.ready.give_back(step)
            self._bury(left[0], cause, now)

    def _bury(self, step: Step, cause: str, now: float) -> None:
        """The process died that was at this step: try it again, and give it up when it was TRIES times."""
        if running(self.store.folder(step)):
            self.later.append((now + BUSY, step))
            return
        self.deaths[step.id] = self.deaths.get(step.id, 0) + 1
        if self.deaths[step.id] < TRIES:
            self.ready.give_back(step)
        elif timed_out(self.store.folder(step)):
            limit = self.plan.experiment.step_timeout
            self._end(step, f"took longer than {limit} s, {TRIES} times; its log.txt says where it was")
        else:
            self._end(step, f"the process that ran it died (killed, or out of memory{cause})")

    def _end(self, step: Step, why: str | None) -> None:
        """Take a step off the list; with a failure, all that needs it goes with it."""
        self.progress.done += 1
        if why is None:
            self.seconds.setdefault(step.kind, []).append(self.store.result(step).get("wall_seconds", 0.0))
            self.ready.done(step)
            return
        self.failed[step.id] = why
        lost = self.ready.failed(step)
        for other in lost:
            self.failed.setdefault(other.id, f"needs {step.id}, which failed: {why}")
        self.progress.done += len(lost)
        self.progress.failed += 1 + len(lost)

    def _show(self) -> None:
        now = time.monotonic()
        shown = [(job.steps[0], now - job.began) for job in self.running if job.steps][:16]
        self.progress.running = {
            step.id: (step, seconds, read_progress(self.store.folder(step))) for step, seconds in shown
        }
        every = [second for kind in self.seconds.values() for second in kind]
        if every:
            mean = {kind: sum(s) / len(s) for kind, s in self.seconds.items()}
            todo = self.ready.todo.values()
            rest = sum(mean.get(step.kind, sum(every) / len(every)) for step in todo)
            spent = sum(now - job.began for job in self.running)
            self.progress.left = max(0.0, rest - spent) / max(1, min(self.jobs, len(todo) or 1))
        self.watch(self.progress)


def _answer(future: Future[Any]) -> tuple[dict[str, tuple[str, str]], str]:
    """Return what a job said of its steps, and why it said nothing."""
    if future.cancelled():
        return {}, "; it was cancelled"
    error = future.exception()
    if error is not None:
        return {}, f"; {' '.join(str(error).split())[:200] or type(error).__name__}"
    return future.result() or {}, ""


def default_jobs(model: Path) -> int:
    """Steps at a time: one a GPU; on a CPU one a core for a small model, else one."""
    if Path("/dev/nvidia0").exists() or os.environ.get("CUDA_VISIBLE_DEVICES"):
        import torch

        return max(1, torch.cuda.device_count())
    size = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores) if size < 100e6 else 1
