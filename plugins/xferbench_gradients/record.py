"""Where the layers hand in what they find during a backward pass, and what becomes of it (sinks.py)."""

from dataclasses import dataclass, field
from typing import Any

from xferbench import UsageError


@dataclass
class Recorder:
    """The batch in hand: layers call `put` with the per-example gradient of one block of parameters."""

    sink: Any = None
    rows: Any = None
    """int64 (examples,): the places of the batch's examples, on the network's device."""
    shape: tuple[int, int] = (0, 0)
    """Examples and tokens of the batch."""
    seen: dict[str, int] = field(default_factory=dict)
    """How many examples each block has handed in for this batch."""
    trigger: Any = None
    """A scalar that wants a gradient, so that autograd runs although no parameter does."""

    def begin(self, sink: Any, rows: Any, shape: tuple[int, int]) -> None:
        """Start a batch."""
        self.sink, self.rows, self.shape, self.seen = sink, rows, shape, {}

    def put(self, block: str, gradient: Any, start: int = 0) -> None:
        """Take the gradients (some examples, ...) of one block, for the batch's examples from `start` on.

        Raises UsageError when a layer runs twice for one example: its gradient would be two halves.
        """
        if self.seen.get(block, 0) != start:
            raise UsageError(f"{block} is used more than once in a pass: its gradients cannot be taken one by one")
        self.seen[block] = start + len(gradient)
        self.sink.add(self.rows[start : start + len(gradient)], block, gradient.flatten(1))

    def per_example(self, tensor: Any) -> Any:
        """Return (examples, tokens, width) of a tensor that may have examples and tokens in one dimension."""
        return tensor.reshape(*self.shape, tensor.shape[-1])


def precise(tensor: Any) -> Any:
    """Return the tensor in float32, or as it is in float64: gradients are always added up in one of the two."""
    return tensor if tensor.element_size() == 8 else tensor.float()
