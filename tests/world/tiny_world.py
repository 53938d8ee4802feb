"""A whole third-party plugin for tests, light enough for a CPU: domains, targets, a trainer, an executor, a suite."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from xferbench import Checkpoint, Domain, Example, Item, LmEvalTask, Measurement, Suite, encode, hookimpl, load

HERE = Path(__file__).parent
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def letters() -> Iterator[Example]:
    for one, following in pairwise(ALPHABET):
        yield Example(f"letter-{one}", f"Which letter follows {one}?", following, source="letters")


def picks() -> Iterator[Example]:
    for number in range(1, 30):
        yield Example(f"pick-{number}", f"Is {number} odd or even?", "odd" if number % 2 else "even", source="picks")


def reward(example: Example, completion: str) -> float:
    return float(completion.strip() == example.answer)


def even(example: Example, completion: str) -> float:
    """A reward that a random model earns now and then."""
    return float(len(completion) % 2 == 0)


@hookimpl
def provide_domains() -> Iterator[Domain]:
    yield Domain("tiny/letters", letters, reward, summary="the letter that follows")
    yield Domain("tiny/even", letters, even, summary="an answer of even length")
    yield Domain("tiny/picks", picks, reward, summary="odd or even")


@dataclass(frozen=True)
class Quick:
    """A target without lm-eval: how likely the first token of the answer is."""

    name: str = "tiny/quick"
    group: str = "tiny"
    version: str = "1"
    domain: str | None = "tiny/picks"
    summary: str = "how likely the right first token is"
    data: dict = field(default_factory=dict)

    def fingerprint(self) -> str:
        return sha256(b"quick").hexdigest()

    def measure(self, model: Any, limit: int | None) -> Measurement:
        import torch

        items = []
        for one in self.queries(limit):
            encoded = encode(model.tokenizer, one)
            with torch.no_grad():
                logits = model.network(input_ids=torch.tensor([encoded.ids])).logits[0, encoded.prompt - 1]
            asked = sha256(one.prompt.encode()).hexdigest()[:16]
            items.append(Item(one.id, asked, float(logits.softmax(-1)[encoded.ids[encoded.prompt]])))
        mean = sum(item.score for item in items) / len(items)
        return Measurement("likelihood", mean, 0.0, len(items), tuple(items))

    def queries(self, limit: int | None) -> Sequence[Example]:
        return [Example(f"q{n}", f"Is {n} odd or even?", "odd" if n % 2 else "even") for n in range(40, 48)][:limit]


@hookimpl
def provide_targets() -> Iterator[Any]:
    yield LmEvalTask(
        "tiny/pick", str(HERE / "tiny_pick.yaml"), group="tiny", domain="tiny/picks", summary="odd or even"
    )
    yield Quick()
    yield Quick("tiny/quiz")


@dataclass(frozen=True)
class Nudge:
    """Adds a little noise, drawn from the seed and the examples, to all weights; writes its process id beside them."""

    name: ClassVar[str] = "nudge"
    size: float = 0.05

    def train(self, start: Checkpoint, examples: Sequence[Example], reward: Any, out: Path, seed: int) -> Checkpoint:
        import torch

        model = load(start)
        noise = torch.Generator().manual_seed(seed + sum(map(ord, "".join(one.id for one in examples))))
        with torch.no_grad():
            for weight in model.network.parameters():
                weight.add_(self.size * torch.randn(weight.shape, generator=noise))
        model.network.save_pretrained(out / "model")
        model.tokenizer.save_pretrained(out / "model")
        return Checkpoint(str(out / "model"))


@hookimpl
def provide_trainers() -> list[type[Nudge]]:
    return [Nudge]


class InlinePool(Pool):
    """Does each call at once, in this very process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass(frozen=True)
class Inline:
    """No workers at all: this process does the steps."""

    name: ClassVar[str] = "inline"

    def pool(self, jobs: int) -> InlinePool:
        return InlinePool()


@dataclass(frozen=True)
class Broken:
    """An executor that cannot begin."""

    name: ClassVar[str] = "broken"

    def pool(self, jobs: int) -> InlinePool:
        raise OSError("no workers")


@hookimpl
def provide_executors() -> list[type]:
    return [Inline, Broken]


@hookimpl
def provide_suites() -> Iterator[Suite]:
    yield Suite(
        "tiny",
        model=os.environ.get("TINY_MODEL"),
        domains={"even": "tiny/even", "letters": "tiny/letters", "picks": "tiny/picks"},
        targets={"pick": "tiny/pick", "quick": "tiny/quick", "quiz": "tiny/quiz"},
        trainers={"sft": {"learning_rate": 1e-2, "max_steps": 4, "batch_size": 4, "rank": 4}},
        train_limit=8,
    )
