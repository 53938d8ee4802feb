"""The scheduling of a run: a step starts when what it needs is done and a worker is free, trainings first."""

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xferbench.api import Executor
from xferbench.errors import UsageError
from xferbench.plan import Plan
from xferbench.progress import read_progress
from xferbench.steps import Evaluate, Step, Train, to_json
from xferbench.store import Store
from xferbench.work import preflight, work

TRIES = 2
"""How often a step is begun when the process under it dies (killed, out of memory) before it is given up."""


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


class Walk:
    """The scheduling of one run: a step starts when what it needs is done and a worker is free."""

    def __init__(self, plan: Plan, store: Store, executor: Executor, watch: Watch, failed: dict[str, str]) -> None:
        self.plan, self.store, self.executor, self.watch, self.failed = plan, store, executor, watch, failed
        self.jobs = plan.experiment.jobs or default_jobs(Path(plan.base.folder))
        self.progress = Progress(len(plan.steps))
        self.seconds: dict[str, list[float]] = {}
        self.running: dict[Future[Any], tuple[Step, float]] = {}
        self.deaths: dict[str, int] = {}
        """Step id -> how often a process died while it alone was running."""
        self.suspects: set[str] = set()
        """Steps that were running together when a process died: each is tried alone before anything else."""

    def walk(self, todo: list[Step]) -> None:
        """Do all of `todo` that can be done; what fails is told in `failed`."""
        self.progress.done = self.progress.total - len(todo)
        checks = TRIES
        while todo:
            with self.executor.pool(self.jobs) as pool:
                try:
                    if checks:
                        checks -= 1
                        self._preflight(pool, todo)
                        checks = 0
                    self._work(pool, todo)
                except BrokenExecutor:
                    if not checks and not self.running:
                        raise UsageError("the process that looked whether the targets can be measured died") from None
                    self._bury(todo)
                except BaseException:
                    stop = getattr(pool, "stop", None)
                    if stop is not None:
                        stop()
                    raise

    def _preflight(self, pool: Any, todo: list[Step]) -> None:
        targets = {step.target.name: step for step in todo if isinstance(step, Evaluate)}
        checks = [
            pool.submit(preflight, self.plan.base.folder, vars(step.target), step.limit, number == 0)
            for number, step in enumerate(targets.values())
        ]
        for found in (check.result() for check in checks):
            if not found["ok"]:
                raise UsageError(found["why"])

    def _work(self, pool: Any, todo: list[Step]) -> None:
        while todo:
            for step in self._ready(todo):
                self.running[pool.submit(work, str(self.store.root), to_json(step))] = (step, time.monotonic())
            finished, _ = wait(self.running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                outcome = future.result()
                step, began = self.running.pop(future)
                self.suspects.discard(step.id)
                self.seconds.setdefault(step.kind, []).append(time.monotonic() - began)
                self._end(todo, step, None if outcome["ok"] else outcome["why"])
            self._show(todo)

    def _ready(self, todo: list[Step]) -> list[Step]:
        """Trainings first, since they unlock the most; at most one step a worker, and a suspect alone."""
        at = {step.id for step, _ in self.running.values()}
        ready = [s for s in todo if s.id not in at and all(self.store.done(need) for need in s.needs)]
        ready.sort(key=lambda step: (step.id not in self.suspects, not isinstance(step, Train)))
        return ready[: max(0, (1 if self.suspects else self.jobs) - len(at))]

    def _bury(self, todo: list[Step]) -> None:
        """A process died (killed, or out of memory): find the step to blame, and give it up when it was TRIES times."""
        steps = [step for step, _ in self.running.values() if not self.store.done(step)]
        for step in [step for step, _ in self.running.values() if self.store.done(step)]:
            self._end(todo, step, None)
        self.running.clear()
        if len(steps) > 1:
            self.suspects |= {step.id for step in steps}
            return
        for step in steps:
            self.deaths[step.id] = self.deaths.get(step.id, 0) + 1
            if self.deaths[step.id] >= TRIES:
                self.suspects.discard(step.id)
                self._end(todo, step, "the process that ran it died (killed, or out of memory)")

    def _end(self, todo: list[Step], step: Step, why: str | None) -> None:
        """Take a step off the list; with a failure, all that needs it goes with it."""
        todo.remove(step)
        self.progress.done += 1
        if why is None:
            return
        self.failed[step.id] = why
        self.progress.failed += 1
        for other in [one for one in todo if step.id in (need.id for need in one.needs)]:
            if other in todo:
                self._end(todo, other, f"needs {step.id}, which failed: {why}")

    def _show(self, todo: list[Step]) -> None:
        now = time.monotonic()
        self.progress.running = {
            step.id: (step, now - began, read_progress(self.store.folder(step)))
            for step, began in self.running.values()
        }
        every = [second for kind in self.seconds.values() for second in kind]
        if every:
            mean = {kind: sum(s) / len(s) for kind, s in self.seconds.items()}
            rest = sum(mean.get(step.kind, sum(every) / len(every)) for step in todo)
            spent = sum(now - began for _, began in self.running.values())
            self.progress.left = max(0.0, rest - spent) / max(1, min(self.jobs, len(todo) or 1))
        self.watch(self.progress)


def default_jobs(model: Path) -> int:
    """Steps at a time: one a GPU; on a CPU one a core for a small model, else one."""
    if Path("/dev/nvidia0").exists() or os.environ.get("CUDA_VISIBLE_DEVICES"):
        import torch

        return max(1, torch.cuda.device_count())
    size = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores) if size < 100e6 else 1
