"""Per-example gradients of a layer that runs as it is: a tap on its output keeps the input and sees the gradient.

This is the way wherever the fused pass does not hold (DoRA, quantised bases, several adapters at once), and for full
layers: a LoRA layer is two small linear layers, A and B, and each gets a tap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from xferbench_gradients.record import Recorder, precise

LARGEST = 2**25
"""Numbers in one block of gradients; a full layer's are made for a few examples at a time."""


@dataclass
class Tap:
    """The weight of one linear module; `form` says how the gradient follows from input x and output gradient d.

    rows: d x^T (out, in). columns: x d^T, for a weight kept as (in, out). size: DoRA's magnitude m, of which the
    output without its bias is a multiple, so the gradient is sum_t d_t (y_t - bias) / m.
    """

    block: str
    module: Any
    parameter: Any
    form: str = "rows"

    @property
    def blocks(self) -> dict[str, Any]:
        """The parameter whose gradient is handed in, by name."""
        return {self.block: self.parameter}

    def attach(self, recorder: Recorder) -> Callable[[], None]:
        """Tap the module's output; return the function that takes the tap off."""

        def hook(module: Any, args: tuple[Any, ...], output: Any) -> Any:
            kept = output if self.form == "size" else args[0]
            return _Tapped.apply(output, kept.detach(), recorder.trigger, self, recorder)

        handle: Callable[[], None] = self.module.register_forward_hook(hook).remove
        return handle

    def hand_in(self, kept: Any, d: Any, record: Recorder) -> None:
        """Work out the gradients (examples, size of the parameter), a few examples at a time, and hand them in."""
        kept, d = record.per_example(kept), record.per_example(d)
        if self.form == "size":
            bias = self.module.get_base_layer().bias
            kept = precise(kept) - (0 if bias is None else precise(bias))
            record.put(self.block, (precise(d) * kept).sum(1) / precise(self.parameter).flatten())
            return
        left, right = (d, kept) if self.form == "rows" else (kept, d)
        step = max(1, LARGEST // (left.shape[-1] * right.shape[-1]))
        for start in range(0, len(d), step):
            some = slice(start, start + step)
            one, other = precise(left[some]), precise(right[some])
            # The long side is faster along memory.
            wide = one.shape[-1] > other.shape[-1]
            rows = torch.bmm(other.mT, one).mT if wide else torch.bmm(one.mT, other)
            record.put(self.block, rows, start)


class _Tapped(torch.autograd.Function):
    """Nothing forward; backward, the gradient is read as it passes."""

    @staticmethod
    def forward(ctx: Any, y: Any, kept: Any, trigger: Any, tap: Tap, recorder: Recorder) -> Any:
        ctx.save_for_backward(kept)
        ctx.tap, ctx.recorder = tap, recorder
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, d: Any) -> Any:
        ctx.tap.hand_in(ctx.saved_tensors[0], d, ctx.recorder)
        return d, None, None, None, None
