"""What becomes of per-example gradients: each sink has add(rows, block, gradients) and keeps only what it is for.

`gradients` is (some examples, size of the block), `rows` their places (int64). Every sink is a sum over blocks, so
none ever sees a whole gradient.
"""

from collections.abc import Callable
from typing import Any

import torch

Change = Callable[[str, Any], Any]
"""change(block, gradients) -> gradients: what is done to each block first, such as Adam's scaling."""


class Means:
    """Weighted sums of gradients: with weights (groups, examples) of 1/n, the mean gradient of each group."""

    def __init__(self, weights: Any) -> None:
        """Start from nothing; `weights` lies on the network's device."""
        self.weights = weights
        self.bank: dict[str, Any] = {}
        """block -> (groups, size)"""
        self.broken = torch.zeros(weights.shape[1], dtype=torch.bool, device=weights.device)
        """Examples with a gradient that is not finite: their share is left out of that block."""

    def add(self, rows: Any, block: str, gradients: Any) -> None:
        """Add one block."""
        fine = gradients.sum(1).isfinite()
        if not bool(fine.all()):
            self.broken[rows[~fine]] = True
            gradients = torch.where(fine[:, None], gradients, 0)
        share = self.weights[:, rows].to(gradients.dtype) @ gradients
        self.bank[block] = self.bank[block].add_(share) if block in self.bank else share


class Dots:
    """Inner products with the gradients of a bank, and squared norms: all that dot and cosine need."""

    def __init__(self, bank: dict[str, Any], n: int, change: Change | None = None) -> None:
        """Prepare for `n` examples against bank: block -> (groups, size)."""
        first = next(iter(bank.values()))
        self.bank, self.change = {block: rows.mT for block, rows in bank.items()}, change
        # The sums are small: in float64 they add no error to that of the gradients.
        self.dots = torch.zeros(n, len(first), dtype=torch.float64, device=first.device)
        self.squares = torch.zeros(n, dtype=torch.float64, device=first.device)

    def add(self, rows: Any, block: str, gradients: Any) -> None:
        """Add one block."""
        if self.change is not None:
            gradients = self.change(block, gradients)
        self.dots.index_add_(0, rows, (gradients @ self.bank[block]).double())
        self.squares.index_add_(0, rows, torch.linalg.vector_norm(gradients, dim=1).double().square())


class Sketched:
    """A sketch (examples, dimensions) of each gradient, in float32."""

    def __init__(self, sketch: Any, n: int, device: Any, change: Change | None = None) -> None:
        """Prepare for `n` examples."""
        self.sketch, self.change = sketch, change
        self.out = torch.zeros(n, sketch.dimensions, device=device)

    def add(self, rows: Any, block: str, gradients: Any) -> None:
        """Add one block."""
        if self.change is not None:
            gradients = self.change(block, gradients)
        self.out.index_add_(0, rows, self.sketch.apply(block, gradients).to(self.out.dtype))


class Exact:
    """Every gradient whole, block -> (examples, size): for small networks and for checking the others."""

    def __init__(self, n: int) -> None:
        """Prepare for `n` examples."""
        self.n = n
        self.out: dict[str, Any] = {}

    def add(self, rows: Any, block: str, gradients: Any) -> None:
        """Keep one block."""
        if block not in self.out:
            self.out[block] = gradients.new_full((self.n, gradients.shape[1]), torch.nan)
        self.out[block][rows] = gradients
