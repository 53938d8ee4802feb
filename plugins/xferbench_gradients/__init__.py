"""Scorers that look at gradients: an example helps a target when a step on it lowers the target's loss.

The loss of an example is the mean over its learnt tokens (the answer and the end token); g(z) is its gradient by all
LoRA parameters, or by full layers where the checkpoint has no adapter. Positive means that training on it helps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import Example, UsageError, hookimpl

from .kept import SketchedCosine


@dataclass(frozen=True)
class Cosine:
    """Compare directions: cos( g(z), mean of g(z') over the group ). Exact, nothing is projected.

    The cosine does not reward short answers, whose mean loss has a large gradient. Source: the gradient similarity of
    Pruthi et al., 2020 (TracIn), at one checkpoint, normalised.
    """

    name: ClassVar[str] = "cosine"

    level: str = "example"
    """example, or domain: every example gets the cosine of its whole `domain`'s mean gradient."""
    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer, or every linear one."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups) in -1 ... 1; nan for an example without a finite gradient."""
        if self.level not in ("example", "domain"):
            raise UsageError(f"scorer cosine has no level {self.level!r} (known: example, domain)")
        return _compare(self, model, examples, queries, cosine=True, domains=self.level == "domain")


@dataclass(frozen=True)
class Dot:
    """First-order change of the group's loss for a step on the example: < g(z), mean of g(z') >, per unit of rate."""

    name: ClassVar[str] = "dot"

    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer, or every linear one."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), in nats per unit of learning rate; nan where not finite."""
        return _compare(self, model, examples, queries, cosine=False)


@dataclass(frozen=True)
class TracIn:
    """TracIn-CP: sum over checkpoints of rate * < g(z), mean of g(z') >. Source: Pruthi et al., 2020.

    The rate is the mean learning rate since the checkpoint before. Of a training that kept none there is one term,
    with rate 1, which ranks examples as `dot` does.
    """

    name: ClassVar[str] = "tracin"

    checkpoints: str = "all"
    """all that training kept (sft:save_checkpoints), or last: the final one alone."""
    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer, or every linear one."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    @property
    def needs(self) -> dict[str, Any]:
        """What training must keep."""
        return _kept(self.checkpoints)

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), in nats; nan where not finite."""
        from xferbench_gradients.rules import tracin

        return tracin(self, model, examples, queries)


@dataclass(frozen=True)
class Less:
    """LESS: max over subtasks of the mean over checkpoints of cos( Adam's step for z, mean of g(z') over the subtask ).

    The mean is weighted by the checkpoints' learning rates (the mean rate since the checkpoint before).
    Adam's step is m' / (sqrt(v') + eps) with m' = (b1 m + (1 - b1) g(z)) / (1 - b1^(t+1)) and
    v' = (b2 v + (1 - b2) g(z)^2) / (1 - b2^(t+1)), from m, v and t in optimizer.pt beside the adapter.
    The queries of a group with the same `domain` are a subtask. Source: Xia et al., 2024; the published program
    leaves out the bias corrections and has eps inside the root, where this follows the paper.
    """

    name: ClassVar[str] = "less"

    checkpoints: str = "all"
    """all that training kept (sft:save_checkpoints), or last: the final one alone."""
    form: str = "paper"
    """paper, or own: without b1 m, the same for every example, which draws all cosines together."""
    dimensions: int = 0
    """Size of the sketches that are compared (the paper: 8192); 0: no projection, the exact cosine, which is faster."""
    projection: str = "count"
    """count, sparse, dense or factored: see sketch.py and factored.py."""
    seed: int = 0
    """Seed of the projection."""
    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    @property
    def needs(self) -> dict[str, Any]:
        """What training must keep."""
        return {"save_optimizer": True, **_kept(self.checkpoints)}

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups) in -1 ... 1. Raises UsageError where optimizer.pt is missing."""
        from xferbench_gradients.rules import less

        return less(self, model, examples, queries)


@dataclass(frozen=True)
class Trak:
    """TRAK: mean over checkpoints of phi(z') (Phi^T Phi + lambda I)^-1 phi(z), times the mean of 1 - p(z).

    Source: Park et al., 2023. phi(z') is the mean over the group.
    phi(z) is the projected gradient of the margin, the sum over learnt tokens of log(p / (1 - p)); Phi are those of
    all examples; p(z) is the mean probability of z's learnt tokens. The paper averages over models trained apart;
    here they are checkpoints of one training. The features of all examples are kept: 4 bytes * dimensions each.
    """

    name: ClassVar[str] = "trak"

    checkpoints: str = "last"
    """last: the final one alone, or all that training kept (sft:save_checkpoints)."""
    dimensions: int = 4096
    """Numbers kept of each gradient."""
    damping: float = 0.01
    """lambda, as a multiple of the mean of the diagonal of Phi^T Phi, so that it means the same for every model."""
    projection: str = "count"
    """count, sparse, dense or factored: see sketch.py and factored.py."""
    seed: int = 0
    """Seed of the projection."""
    layers: str = ""
    """Pieces of layer names, joined by + ("q_proj+v_proj"); empty: every adapted layer, or every linear one."""
    batch_tokens: int = 0
    """Tokens in one batch, padding included; 0: 2048 on a CPU, 8192 on a GPU. It does not change the scores."""

    @property
    def needs(self) -> dict[str, Any]:
        """What training must keep."""
        return _kept(self.checkpoints)

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), without a unit; nan where not finite."""
        from xferbench_gradients.rules import trak_scores

        return trak_scores(self, model, examples, queries)


@dataclass(frozen=True)
class Updates:
    """The rule of "Domain Transfer: Weak and Strong", Eq. 1: sum over epochs of -cos( u(z), mean of g(z') at the end ).

    u(z) is the share of an update of the parameters that z brought, sketched while training ran; g is taken at the
    final parameters. The paper's formula has no minus: a share points downhill, so a helpful one has cos < 0 there.
    own: -r (1 - b1) / (1 - b1^t) * c / (sqrt(v / (1 - b2^t)) + eps) for AdamW, with c the part of the batch's
    gradient that z brought; -r c for SGD. whole: own, and an equal part of what the step's examples share, the
    momentum left behind by earlier ones and the weight decay; all whole shares add up to the change of the
    parameters. Momentum draws the shares of unrelated examples together.
    """

    name: ClassVar[str] = "updates"

    share: str = "own"
    """own, or whole: with an equal part of the momentum and the weight decay."""
    dimensions: int = 4096
    """Length of the sketches that training keeps, where the scorer asks training for them."""

    @property
    def needs(self) -> dict[str, Any]:
        """What training must keep."""
        return {"capture_updates": self.dimensions}

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), at most the number of epochs; nan for what was not trained on."""
        from xferbench_gradients.updates import influence

        return influence(self, model, examples, queries)


def _kept(checkpoints: str) -> dict[str, Any]:
    return {"save_checkpoints": 4} if checkpoints == "all" else {}


def _compare(
    scorer: Any, model: Any, examples: Sequence[Example], queries: Any, cosine: bool, domains: bool = False
) -> Any:
    from xferbench_gradients.engine import Engine
    from xferbench_gradients.scoring import compare, compare_domains

    with Engine(model, scorer.layers, scorer.batch_tokens) as engine:
        if domains:
            return compare_domains(engine, examples, queries)
        return compare(engine, examples, queries, cosine)


@hookimpl
def provide_scorers() -> Iterable[type]:
    """Return the gradient scorers."""
    return (Cosine, Dot, TracIn, Less, Trak, Updates, SketchedCosine)
