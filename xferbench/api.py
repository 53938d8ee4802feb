"""The words of xferbench: all that a plugin author needs to know, in one short file.

A domain is learnt from, a target is measured, a trainer turns examples into a checkpoint, a scorer says which
examples push toward a target, an executor runs steps, a suite gives short names to things that belong together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor as Pool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

Reward = Callable[["Example", str], float | None]
"""reward(example, completion): 1.0 right ... 0.0 wrong, below 0 where it punishes; None when it cannot be judged."""


@dataclass(frozen=True)
class Example:
    """One thing to learn from, or to be asked. The text learnt is the prompt, then the answer."""

    id: str
    prompt: str
    answer: str
    domain: str = ""
    source: str = ""


def question(example: str) -> str:
    """Return the question that an example answers, by its id: a#1 and a#2 answer one."""
    return example.rpartition("#")[0] or example


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: a hub id or a folder with weights, and the folder of a LoRA adapter on top of it, if any."""

    base: str
    adapter: str | None = None


@dataclass(frozen=True)
class Domain:
    """A kind of problem that a model can be trained on."""

    name: str
    examples: Callable[[], Iterable[Example]]
    """Yields the training examples: ids unique, the same on every call."""
    reward: Reward | None = None
    """A reward with an attribute `identity` (name, version, settings in one line) makes it part of every training's
    identity; one with a method check() says there, with a UsageError, that it cannot judge on this machine."""
    version: str = "1"
    summary: str = ""
    stream: bool = False
    """True: examples() comes in random order already and may be very long, so the first n are a fair sample."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Where the data come from: id, config, revision, licence, gated."""


@dataclass(frozen=True)
class Item:
    """The score of one test item: its id and the hash of its exact prompt, and never its text."""

    id: str
    prompt: str
    score: float


@dataclass(frozen=True)
class Output:
    """What a model made of one test item, in numbers and names of classes, and never in its text."""

    asked: int
    """Tokens of the prompt."""
    length: int | None = None
    """Tokens of what the model wrote; None where it wrote nothing (options were compared)."""
    chosen: str | None = None
    """The class that it named: yes, B, ...; None where the answer is none of them, or there are no classes."""
    truth: str | None = None
    """The right class; None where a target has no classes."""


@dataclass(frozen=True)
class Measurement:
    """What a target says of a model: `value` is the mean over `items`, in the units of the metric (a fraction)."""

    metric: str
    value: float
    stderr: float
    n: int
    items: tuple[Item, ...]
    outputs: tuple[Output, ...] = ()
    """One for each of `items`, in their order; () from a target that does not say."""


@runtime_checkable
class Trainer(Protocol):
    """A frozen dataclass whose fields are its hyperparameters, each with a default.

    Class attributes that it may have: `needs_reward` (True: it asks the domain's reward); `learns`, "rewards" (what it
    is when it needs one) or "answers": whether rewards weigh what is learnt, or choose it at most; `step_settings`, the
    names of fields that count optimiser steps, `steps` or `..._steps` (a matched budget divides them among the stages);
    `aside`, the names of fields that change no weight, such as where a log goes (they are no part of a step's
    identity); `added`, the names of fields that came after results were stored (part of the identity only where they
    differ from their default, which must never change); `least`, how many examples it takes at once. One with
    follow(before: Trainer) is asked in a recipe whether it can go on from the trainer before it: UsageError where it
    cannot.
    It may foretell what one training leaves on the disk, in bytes: checkpoint_bytes(base: Path) -> int; and what it
    takes on so many examples, effort(examples: int) -> {steps: of the optimiser; sequences: learnt from, repeats
    counted; length: tokens of one at most; at_once: sequences in memory; generated: answers drawn; answer: tokens of
    one at most; rank: of the adapter, 0 for all weights; checkpointing: whether activations are computed twice;
    elsewhere: True where it is done on machines that are not ours}. One with a method check() says there, with a
    UsageError, that it cannot train here; it is asked before anything starts (where an executor's workers are other
    machines, only there) and again before each training.
    One with `processes` above 1 has train() called with equal arguments in each of so many processes, started by
    accelerate launch: each returns the checkpoint, which one of them wrote before any of them returns.
    """

    name: ClassVar[str]

    def train(
        self, start: Checkpoint, examples: Sequence[Example], reward: Reward | None, out: Path, seed: int
    ) -> Checkpoint:
        """Train on `examples` in folder `out` and return the new checkpoint; equal arguments give equal weights.

        What is written under `out`/unfinished is found there again when the step is taken up after an interruption.
        """
        ...


@runtime_checkable
class Target(Protocol):
    """A benchmark. `domain` is what DIRECT trains on (or None); `group` is the kind it is counted under.

    One with `needs_model = False` is given a Model of which only `checkpoint` is there, and nothing is loaded for it.
    One with questions() -> Iterable[Example], its test items under the ids of its Items, has them described by `analyse
    features`.
    It may tell the question of each item: texts(limit) -> [(item id, text)], which contamination is sought in.
    """

    name: str
    group: str
    version: str
    domain: str | None
    summary: str
    data: Mapping[str, Any]

    def fingerprint(self) -> str:
        """A hash of everything that decides which question is asked and how it is scored."""
        ...

    def measure(self, model: Any, limit: int | None) -> Measurement:
        """Score a loaded model (xferbench.models.Model) on the first `limit` items (None: on all).

        The network must be left as it was: the next target is measured on it.
        """
        ...

    def queries(self, limit: int | None) -> Sequence[Example]:
        """Return examples of the target for a scorer to aim at."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A frozen dataclass whose fields are its settings, each with a default.

    One that reads what training left beside the adapter says so in a property `needs`, {trainer's setting: value}:
    a plan sets it for the training that is scored. One that says how alike two texts are names what it compares in a
    class attribute `similarity` (vocabulary, meaning, style, structure): `analyse similarity` shows it.
    """

    name: ClassVar[str]

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups of queries): positive means training on it helps that group."""
        ...


@runtime_checkable
class Indexable(Scorer, Protocol):
    """A scorer that compares two rows of numbers by their cosine: those of the examples can be kept in an index."""

    dimensions: int

    def features(self, model: Any, examples: Sequence[Example]) -> Any:
        """Return the row of each example: float (examples, dimensions), nan where it has none."""
        ...

    def aim(self, model: Any, queries: Sequence[Sequence[Example]]) -> Any:
        """Return the row of each group of queries: float (groups, dimensions)."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Where steps run: a frozen dataclass whose fields are its settings, each with a default.

    `pool` returns a concurrent.futures.Executor. Its submit() takes a function and arguments that can be pickled, and
    the call may be made more than once. What came of a step is read from the store, never from the future, which has
    only to end when the call has: with an exception when its process was lost. The calls that do steps are
    fn(recipes, timeout), and `xferbench step RECIPE... --step-timeout SECONDS` in a shell does the very same. A pool
    may have stop(), which ends what is running. An executor whose workers are other machines says `remote = True`
    (the evaluations of one checkpoint stay together) and, in `lag`, how many seconds its file system may take to show
    a file; `jobs` is how many calls it takes at a time where the user does not say.
    """

    name: ClassVar[str]

    def pool(self, jobs: int) -> Pool:
        """Open a pool of `jobs` workers; the caller closes it."""
        ...


@dataclass(frozen=True)
class Suite:
    """Short names, a model and budgets that belong together: in `mini`, `math` means `mini/math`."""

    name: str
    model: str | None = None
    """A folder or hub id; None: the user must name one."""
    domains: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    trainers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of a trainer that differ from the trainer's own defaults: {"sft": {"learning_rate": 1e-3}}. What stands
    under ">grpo" goes before those under "grpo" where grpo goes on from another trainer of a recipe, as in sft>grpo."""
    train_limit: int | None = None
    eval_limit: int | None = None
    summary: str = ""
    caution: str = ""
    """What a reader of its numbers must know; said aloud with every run."""
    experiment: str | None = None
    """The path of an experiment YAML: what `run --suite NAME` asks where its flags do not say."""
    shape: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the model's config.json that say how large it is: for an estimate where the model is not at hand."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Folders of models by short name, for `--model NAME`; the suite's budgets and settings hold for them too."""
