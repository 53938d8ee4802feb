"""Which steps can start now: what a step needs is done, and what unlocks most comes first."""

import math
from collections.abc import Iterable

from xferbench.steps import Evaluate, Step


class Ready:
    """The steps of a run that are not done; what each waits for, and what waits for it."""

    def __init__(self, todo: Iterable[Step]) -> None:
        self.todo = {step.id: step for step in todo}
        self._missing = {
            step.id: {need.id for need in step.needs if need.id in self.todo} for step in self.todo.values()
        }
        self._behind: dict[str, list[Step]] = {name: [] for name in self.todo}
        self._weight = dict.fromkeys(self.todo, 0)
        for step in self.todo.values():
            for need in self._missing[step.id]:
                self._behind[need].append(step)
        for name in reversed(self.todo):  # what a step needs comes before it
            self._weight[name] = sum(1 + self._weight[other.id] for other in self._behind[name])
        self._free = {name: step for name, step in self.todo.items() if not self._missing[name]}

    def take(self, workers: int, whole: bool) -> list[list[Step]]:
        """Take out at most `workers` jobs that can start, each a list of steps for one process.

        A training comes alone, the one that most steps wait for first. Then come evaluations, those of one checkpoint
        together; unless `whole`, they are spread over all the workers.
        """
        alone = [step for step in self._free.values() if not isinstance(step, Evaluate)]
        alone.sort(key=lambda step: -self._weight[step.id])
        jobs: list[list[Step]] = [[step] for step in alone[:workers]]
        left = workers - len(jobs)
        groups: dict[str, list[Step]] = {}
        if left > 0:
            for step in self._free.values():
                if isinstance(step, Evaluate):
                    groups.setdefault(step.train.id if step.train else step.base.fingerprint, []).append(step)
        size = math.ceil(sum(map(len, groups.values())) / left) if groups and not whole else len(self._free)
        for group in groups.values():
            jobs += [group[start : start + size] for start in range(0, len(group), size)]
        jobs = jobs[:workers]
        for step in (step for job in jobs for step in job):
            del self._free[step.id]
        return jobs

    def give_back(self, step: Step) -> None:
        """Put a step back that was taken and has not been done."""
        self._free[step.id] = step

    def done(self, step: Step) -> None:
        """Take a step off; what waited for nothing else can start."""
        del self.todo[step.id]
        for other in self._behind[step.id]:
            if other.id in self.todo:
                self._missing[other.id].discard(step.id)
                if not self._missing[other.id]:
                    self._free[other.id] = other

    def failed(self, step: Step) -> list[Step]:
        """Take a step off, and all that needs it; return the latter."""
        self.todo.pop(step.id)
        lost: list[Step] = []
        for other in self._behind[step.id]:
            if other.id in self.todo:
                lost += [other, *self.failed(other)]
        return lost
