"""Problems of reasoning-gym as examples, and its verdict on an answer as the reward."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, ClassVar

from xferbench import DataError, Example, UsageError
from xferbench_gym.families import SIZES

SEED = 0
MANY = 1_000_000
ASKED = "\nGive the final answer between <answer> and </answer>."


@lru_cache(maxsize=8)
def family(name: str) -> Any:
    """Return a family as reasoning-gym makes it: problem number i of a seed is the same on every machine."""
    try:
        import reasoning_gym
    except ImportError:
        raise UsageError(
            'domains reasoning_gym/... need the package reasoning-gym: pip install "xferbench[gym]"'
        ) from None
    try:
        return reasoning_gym.create_dataset(name, seed=SEED, size=SIZES.get(name, MANY))
    except ValueError as error:
        raise DataError(f"reasoning-gym has no family {name} that can be made here: {error}") from error


def problems(families: tuple[str, ...]) -> Callable[[], Iterator[Example]]:
    """Return the examples() of a domain: one problem of each family in turn, for ever; none twice by its words."""

    def examples() -> Iterator[Example]:
        seen: set[int] = set()
        for number in range(MANY):
            for name in families:
                if number >= SIZES.get(name, MANY):
                    continue
                entry = family(name)[number]
                question = entry["question"].strip()
                if hash(question) in seen:
                    continue
                seen.add(hash(question))
                answer = f"<answer>{entry['answer']}</answer>"
                yield Example(f"{name}-{SEED}-{number}", question + ASKED, answer, source=name)

    return examples


class Scored:
    """What reasoning-gym's verifier of the example's family says of what stands in the last <answer> (0 to 1)."""

    name: ClassVar[str] = "reasoning_gym"

    @property
    def identity(self) -> str:
        """Name and version: the library's own verdicts may change with it."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"{self.name} {version('reasoning-gym')}"
        except PackageNotFoundError:
            return f"{self.name} not installed"

    def check(self) -> None:
        """Raise UsageError when reasoning-gym is not installed."""
        family("chain_sum")

    def __call__(self, example: Example, completion: str) -> float:
        """1 right; what the verifier gives for a part; 0 for wrong or for no answer."""
        from reasoning_gym.utils import extract_answer

        said = extract_answer(completion)
        name, _, number = example.id.rsplit("-", 2)
        made = family(name)
        if said is None:
            return 0.0
        return float(made.score_answer(said, made[int(number)]))
