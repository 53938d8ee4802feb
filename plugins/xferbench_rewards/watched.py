"""A reward that is watched: one that raises is counted and named, never a silent 0."""

from math import isfinite
from typing import Any

from xferbench import Example, Reward, StepError, XferbenchError

NAMED = 10
"""Examples that are named in the log; all are counted."""


class Watched:
    """Calls a reward and counts what it was asked, could not judge, and failed on."""

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.seen = self.judged = self.failed = 0
        self.errors: dict[str, str] = {}
        """Example id -> what the reward raised on a completion of it; of the first NAMED examples."""

    def __call__(self, example: Example, completion: str) -> float | None:
        """Return the reward; None where there is none or it raised. Where nothing can be judged, an error of ours."""
        self.seen += 1
        try:
            value = self.reward(example, completion)
            found = None if value is None else float(value)
            if found is not None and not isfinite(found):
                raise ValueError(f"the reward is {found}")
        except XferbenchError:
            raise
        except Exception as error:  # a stranger's reward may raise anything
            self.failed += 1
            if len(self.errors) < NAMED:
                self.errors.setdefault(example.id, f"{type(error).__name__}: {error}"[:200])
            return None
        self.judged += found is not None
        return found

    def told(self) -> dict[str, Any]:
        """Return how many completions the reward raised on, and on which examples, as JSON."""
        return {"count": self.failed, "examples": self.errors}

    def settle(self) -> None:
        """Raise StepError when the reward judged nothing at all."""
        if self.judged == 0 and self.errors:
            name, text = next(iter(self.errors.items()))
            raise StepError(f"the reward failed on every response, first on {name}: {text}")

    def state(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {key: getattr(self, key) for key in ("seen", "judged", "failed", "errors")}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the counts of an earlier try."""
        for key, value in state.items():
            setattr(self, key, value)
