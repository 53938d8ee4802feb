"""The reward as trl calls it, watched: per domain its mean, its deviation, and how many groups teach nothing."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Any

from xferbench import Example, Reward


class Judge:
    """Judges responses by the domain's reward; one that raises is counted and named, never a silent 0."""

    __name__ = "reward"

    def __init__(self, examples: Sequence[Example], reward: Reward) -> None:
        self.examples, self.reward = examples, reward
        self.curve: list[dict[str, Any]] = []
        self.errors: dict[str, str] = {}
        """Example id -> what its reward raised."""
        self.judged = 0

    def __call__(self, completions: Sequence[Any], index: Sequence[int], **_: Any) -> list[float | None]:
        """Return one reward for each response, None where there is none; `index` names the example of each."""
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        found = [self._judge(self.examples[i], text) for i, text in zip(index, texts, strict=True)]
        self._note(index, found)
        return found

    def _judge(self, example: Example, text: str) -> float | None:
        try:
            value = self.reward(example, text)
        except Exception as error:  # a stranger's reward may raise anything
            self.errors[example.id] = f"{type(error).__name__}: {error}"
            return None
        self.judged += value is not None
        return None if value is None else float(value)

    def _note(self, index: Sequence[int], rewards: Sequence[float | None]) -> None:
        """Note the step's rewards by domain; a group is the responses to one prompt, so no group mixes domains."""
        groups: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for i, reward in zip(index, rewards, strict=True):
            if reward is not None:
                groups[self.examples[i].domain][i].append(reward)
        for domain, members in groups.items():
            every = [reward for group in members.values() for reward in group]
            still = sum(pstdev(group) == 0 for group in members.values())
            row = {"call": len(self.curve), "domain": domain, "reward": fmean(every), "reward_sd": pstdev(every)}
            self.curve.append({**row, "zero_variance": still / len(members), "responses": len(every)})
