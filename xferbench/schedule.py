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
        self.tries: dict[str, int] = {}

    def walk(self, todo: list[Step]) -> None:
        self.progress.done = self.progress.total - len(todo)
        checked = False
        while todo:
            with self.executor.pool(self.jobs) as pool:
                try:
                    if not checked:
                        self._preflight(pool, todo)
                        checked = True
                    self._work(pool, todo)
                except BrokenExecutor:
                    todo[:] = [step for step in todo if not self._given_up(step)]
                except BaseException:
                    stop = getattr(pool, "stop", None)
                    if stop is not None:
                        stop()
                    raise

    def _preflight(self, pool: Any, todo: list[Step]) -> None:
        targets = {step.target.name: step for step in todo if isinstance(step, Evaluate)}
        checks = [
            pool.submit(preflight, self.plan.base.folder, vars(step.target), step.limit) for step in targets.values()
        ]
        for found in (check.result() for check in checks):
            if not found["ok"]:
                raise UsageError(found["why"])

    def _work(self, pool: Any, todo: list[Step]) -> None:
        running: dict[Future[Any], tuple[Step, float]] = {}
        while todo or running:
            for step in self._ready(todo, [step for step, _ in running.values()]):
                self.tries[step.id] = self.tries.get(step.id, 0) + 1
                running[pool.submit(work, str(self.store.root), to_json(step))] = (step, time.monotonic())
            if not running:
                break
            finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                step, began = running[future]
                outcome = future.result()
                del running[future]
                todo.remove(step)
                self._note(step, time.monotonic() - began, outcome)
                self._drop_lost(todo)
            self._show(running, todo)

    def _ready(self, todo: list[Step], running: list[Step]) -> list[Step]:
        """Trainings first, since they unlock the most; at most one step a worker."""
        at = {step.id for step in running}
        ready = [s for s in todo if s.id not in at and all(self.store.done(need) for need in s.needs)]
        ready.sort(key=lambda step: not isinstance(step, Train))
        return ready[: max(0, self.jobs - len(running))]

    def _note(self, step: Step, seconds: float, outcome: dict[str, Any]) -> None:
        self.progress.done += 1
        self.seconds.setdefault(step.kind, []).append(seconds)
        if not outcome["ok"]:
            self.failed[step.id] = outcome["why"]
            self.progress.failed += 1

    def _given_up(self, step: Step) -> bool:
        if self.tries.get(step.id, 0) >= TRIES and not self.store.done(step):
            self.failed[step.id] = "the process that ran it died (killed, or out of memory)"
            self.progress.failed += 1
        return step.id in self.failed or self.store.done(step)

    def _drop_lost(self, todo: list[Step]) -> None:
        """Give up the steps that need one that failed."""
        for step in list(todo):
            lost = next((need for need in step.needs if need.id in self.failed), None)
            if lost is not None:
                todo.remove(step)
                self.failed[step.id] = f"needs {lost.id}, which failed: {self.failed[lost.id]}"
                self.progress.done += 1
                self.progress.failed += 1

    def _show(self, running: dict[Future[Any], tuple[Step, float]], todo: list[Step]) -> None:
        now = time.monotonic()
        self.progress.running = {
            step.id: (step, now - began, read_progress(self.store.folder(step))) for step, began in running.values()
        }
        every = [second for kind in self.seconds.values() for second in kind]
        if every:
            mean = {kind: sum(s) / len(s) for kind, s in self.seconds.items()}
            rest = sum(mean.get(step.kind, sum(every) / len(every)) for step in todo)
            spent = sum(now - began for _, began in running.values())
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
