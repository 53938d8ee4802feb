"""A LoRA layer run as one linear map whose backward pass yields the per-example gradients of A and B.

For y = W x + s B A x and the gradient d of the loss by y, one example's gradients are
    dB = s sum_t d_t (A x_t)^T        dA = s sum_t (B^T d_t) x_t^T
so the input x is all that must be kept. In float32 the layer runs with the merged weight W + s B A: one product
forward and one backward. In lower precision a merged weight would round small updates away, so the low-rank branch
stays, in the adapter's own precision. Exact as long as dropout is off.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import linear

from xferbench_gradients.record import Recorder, precise


@dataclass
class Fused:
    """One LoRA layer on a linear base; `transposed` where the base keeps its weight as (in, out), as GPT-2 does."""

    name: str
    module: Any
    adapter: str
    transposed: bool
    recorder: Recorder = field(default_factory=Recorder)
    weight: Any = None
    bias: Any = None
    merged: bool = False

    @property
    def blocks(self) -> dict[str, Any]:
        """The parameters whose gradients are handed in, by name."""
        return {f"{self.name}.lora_A": self.a, f"{self.name}.lora_B": self.b}

    @property
    def a(self) -> Any:
        """A, (rank, in)."""
        return self.module.lora_A[self.adapter].weight

    @property
    def b(self) -> Any:
        """B, (out, rank)."""
        return self.module.lora_B[self.adapter].weight

    @property
    def scale(self) -> float:
        """The factor s, whichever rule (rsLoRA or not) made it."""
        return float(self.module.scaling[self.adapter])

    def attach(self, recorder: Recorder) -> Callable[[], None]:
        """Replace the layer's forward; return the function that puts the old one back."""
        base = self.module.get_base_layer()
        weight = base.weight.detach()
        self.recorder, self.bias = recorder, base.bias
        self.weight = weight.T if self.transposed else weight
        self.merged = weight.dtype in (torch.float32, torch.float64)
        if self.merged:
            with torch.no_grad():
                a, b = self.a.to(weight.dtype), self.b.to(weight.dtype)
                self.weight = torch.addmm(self.weight, b, a, alpha=self.scale)
        before = self.module.__dict__.get("forward")
        self.module.forward = lambda x, *args, **kwargs: _Linear.apply(x, recorder.trigger, self)

        def undo() -> None:
            del self.module.forward
            if before is not None:
                self.module.forward = before
            self.weight = self.bias = None

        return undo


class _Linear(torch.autograd.Function):
    """The layer as one step of the graph: it keeps the input, and nothing of the low-rank branch but A x."""

    @staticmethod
    def forward(ctx: Any, x: Any, trigger: Any, layer: Fused) -> Any:
        ctx.layer = layer
        y = linear(x, layer.weight, layer.bias)
        if layer.merged:
            ctx.save_for_backward(x)
            return y
        low = linear(x.to(layer.a.dtype), layer.a)
        ctx.save_for_backward(x, low)
        return torch.add(y, linear(low, layer.b), alpha=layer.scale).to(y.dtype)

    @staticmethod
    def backward(ctx: Any, d: Any) -> Any:
        layer = ctx.layer
        a, b, scale = layer.a, layer.b, layer.scale
        x = ctx.saved_tensors[0]
        low = linear(x, a) if layer.merged else ctx.saved_tensors[1]
        up = (d.to(b.dtype) @ b).mul_(scale)
        _hand_in(layer, x, d, low, up)
        if not ctx.needs_input_grad[0]:
            return None, None, None
        dx = d @ layer.weight
        if not layer.merged:
            dx = torch.add(dx, up @ a).to(x.dtype)
        return dx, None, None


def _hand_in(layer: Fused, x: Any, d: Any, low: Any, up: Any) -> None:
    record = layer.recorder
    x, d, low, up = (precise(record.per_example(t)) for t in (x, d, low, up))
    record.put(f"{layer.name}.lora_A", torch.bmm(up.mT, x))
    # (A x)^T d and then turned is faster than d^T (A x): the long side lies along memory.
    record.put(f"{layer.name}.lora_B", torch.bmm((low * layer.scale).mT, d).mT)
