"""EK-FAC influence by the package kronfluence: pip install xferbench[kronfluence]."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import Example, hookimpl


@dataclass(frozen=True)
class EKFAC:
    """EK-FAC influence: mean of g(z') over the group, (G + lambda I)^-1, g(z). Source: Grosse et al., 2023.

    g is the gradient of an example's mean loss by the LoRA matrices A and B, each taken as a linear layer of its own;
    G is the eigenvalue-corrected Kronecker-factored Fisher of all examples (George et al., 2018), lambda a tenth of
    its mean eigenvalue. Positive means that training on the example lowers the group's loss. All is kronfluence's own
    work (its strategy "ekfac"), on a copy of the network.
    """

    name: ClassVar[str] = "ekfac"

    fisher: str = "true"
    """true (labels drawn from the network) or empirical (the answers themselves)."""
    batch_size: int = 8
    """Examples in one pass; it does not change the scores beyond rounding, but for fisher=true its random labels."""
    seed: int = 0
    """Seed of the labels that are drawn."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), in nats; nan where not finite.

        Raises UsageError where kronfluence is not installed or the network has no LoRA on linear layers.
        """
        from xferbench_kronfluence.bridge import influence

        return influence(self, model, examples, queries)


@hookimpl
def provide_scorers() -> Iterable[type]:
    """Return ekfac."""
    return (EKFAC,)
