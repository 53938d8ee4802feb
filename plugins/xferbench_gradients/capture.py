"""What each example brought to the parameters, kept while training goes on: a callback for transformers' Trainer.

A tap on every LoRA layer gives the part c_i of the batch's gradient that example i brought. After each step of the
optimizer its share of the parameter change is known exactly. AdamW, step t, rate r, m and v as they are after the step:
    own_i  = - k (1 - b1) c_i w            w = r / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
    rest   = - (m - (1 - b1) g) w - r d p  what all examples of the step share: momentum g left behind, weight decay d
with g the gradient that the optimizer saw and k what clipping left of it. SGD with momentum u, dampening 0:
own_i = - r k c_i, rest = - r (m - g) - r d p. The sum over examples, and rest over steps, is the whole change.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from xferbench import PluginError, UsageError
from xferbench_gradients.record import Recorder
from xferbench_gradients.sites import sites

FOLDER = "updates"
"""Beside the adapter: about.json, uses.npz and shares.f16."""


class Capture(TrainerCallback):
    """Writes a sketch of every example's share of every step into `folder`; the training itself is not touched."""

    def __init__(self, network: Any, learnt: Sequence[tuple[str, Sequence[int]]], folder: Path, sketch: Any) -> None:
        """Tap the network. `learnt`: id and tokens of each example, by which a batch's rows are known again.

        `sketch` has dimensions and apply(block, rows), as sketch.Sketch. Raises UsageError for a network that has no
        LoRA layers.
        """
        if not hasattr(network, "peft_config"):
            raise UsageError("updates are captured for LoRA adapters only: train with lora=true")
        self.folder, self.sketch = folder, sketch
        self.names = [name for name, _ in learnt]
        self.places: dict[tuple[int, ...], list[int]] = {}
        for place, (_, ids) in enumerate(learnt):
            self.places.setdefault(tuple(ids), []).append(place)
        self.recorder = Recorder()
        found = sites(network, fuse=False)
        self.blocks = {block: parameter for site in found for block, parameter in site.blocks.items()}
        device = next(network.parameters()).device
        self.recorder.trigger = torch.zeros((), device=device, requires_grad=True)
        self._undo = [site.attach(self.recorder) for site in found]
        self._undo.append(network.register_forward_pre_hook(self._begin, with_kwargs=True).remove)
        self.sizes = {block: parameter.numel() for block, parameter in self.blocks.items()}
        ends = np.cumsum(list(self.sizes.values())).tolist()
        self.spans = {b: slice(end - self.sizes[b], end) for b, end in zip(self.sizes, ends, strict=True)}
        self.buffer = torch.zeros(0, sum(self.sizes.values()), device=device)
        """The parts of the examples of the step in hand; kept from step to step."""
        self.rows: list[int] = []
        self.seen = dict.fromkeys(self.places, 0)
        self.uses: dict[str, list[Any]] = {"example": [], "step": [], "norm": []}
        self.rest: list[Any] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / "shares.f16").open("wb")

    def _begin(self, network: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Note which examples a batch holds, before the network sees it."""
        if not torch.is_grad_enabled():
            return
        ids, start = inputs["input_ids"], len(self.rows)
        lengths = inputs["attention_mask"].sum(1).tolist() if "attention_mask" in inputs else [ids.shape[1]] * len(ids)
        for row, length in zip(ids.tolist(), lengths, strict=True):
            key = tuple(row[:length])
            if key not in self.places:
                raise PluginError("a batch holds a text that is none of the examples: updates cannot be captured")
            # Equal texts take their turns: their shares in one step are equal anyway.
            twins = self.places[key]
            self.rows.append(twins[self.seen[key] % len(twins)])
            self.seen[key] += 1
        if len(self.rows) > len(self.buffer):
            self.buffer = torch.cat([self.buffer[:start], self.buffer.new_zeros(len(ids), self.buffer.shape[1])])
        self.recorder.begin(self, torch.arange(start, len(self.rows), device=ids.device), tuple(ids.shape))

    def add(self, rows: Any, block: str, gradients: Any) -> None:
        """Take a block of one batch's gradients; a large block comes in pieces."""
        self.buffer[int(rows[0]) : int(rows[-1]) + 1, self.spans[block]] = gradients

    def on_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Sketch the shares of the step that the optimizer has just taken."""
        step = len(self.rest)
        parts = self.buffer[: len(self.rows)]
        grad = _flat([p.grad for p in self.blocks.values()])
        left = _left(parts, grad, step)
        scale, rest = _shares(optimizer, list(self.blocks.values()), grad)
        shares = self.sketch.together(self.sizes, parts, left * scale)
        norms = torch.linalg.vector_norm(shares, dim=1)
        unit = shares / norms.clamp(min=torch.finfo(norms.dtype).tiny)[:, None]
        self.file.write(unit.to(torch.float16).cpu().numpy().tobytes())
        self.uses["example"] += self.rows
        self.uses["step"] += [step] * len(self.rows)
        self.uses["norm"] += norms.tolist()
        self.rest.append(self.sketch.together(self.sizes, rest[None])[0].cpu().numpy())
        self.rows = []

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the tables and take the taps off."""
        self.close()
        kinds = {"example": np.int64, "step": np.int64, "norm": np.float32}
        tables: dict[str, Any] = {name: np.array(values, dtype=kinds[name]) for name, values in self.uses.items()}
        np.savez(self.folder / "uses.npz", rest=np.array(self.rest, dtype=np.float32), **tables)
        about = {"dimensions": self.sketch.dimensions, "seed": self.sketch.seed, "kind": self.sketch.kind}
        text = json.dumps({**about, "blocks": list(self.blocks), "ids": self.names})
        (self.folder / "about.json").write_text(text + "\n", encoding="utf-8")

    def close(self) -> None:
        """Take the taps off and close the file."""
        while self._undo:
            self._undo.pop()()
        self.file.close()


def _flat(tensors: Sequence[Any]) -> Any:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def _left(parts: Any, grad: Any, step: int) -> float:
    """Return what clipping left of the gradient; PluginError when it is not the sum of the examples' parts."""
    total = parts.sum(0)
    cross, own, whole = (float(one.double()) for one in (total @ grad, total @ total, grad @ grad))
    left = cross / own if own else 0.0
    if whole - left * cross > 0.01 * whole:
        raise PluginError(f"the gradient of step {step + 1} is not the sum of what its examples brought")
    return left


def _shares(optimizer: Any, parameters: Sequence[Any], grad: Any) -> tuple[Any, Any]:
    """Return, after a step, the factor from gradient to own share, and the part of the change that is shared: (size,).

    Raises UsageError for an optimizer that is neither AdamW nor SGD, or treats parameters differently.
    """
    wanted = {id(p) for p in parameters}
    groups = [group for group in optimizer.param_groups if wanted & {id(p) for p in group["params"]}]
    group, states = groups[0], [optimizer.state[p] for p in parameters]
    rate, decay = group["lr"], group["weight_decay"]
    if any((other["lr"], other["weight_decay"]) != (rate, decay) for other in groups):
        raise UsageError("updates are captured where all adapter parameters have one learning rate and weight decay")
    if all("exp_avg_sq" in state for state in states):
        (b1, b2), t = group["betas"], float(states[0]["step"])
        size = (_flat([state["exp_avg_sq"] for state in states]) / (1 - b2**t)).sqrt_().add_(group["eps"])
        weight = (rate / (1 - b1**t)) / size
        scale = (b1 - 1) * weight
        rest = ((1 - b1) * grad - _flat([state["exp_avg"] for state in states])) * weight
    elif "dampening" in group and not group["dampening"] and not group["nesterov"]:
        scale, rest = torch.full_like(grad, -rate), torch.zeros_like(grad)
        if group["momentum"]:
            rest, decay = rate * (grad - _flat([state["momentum_buffer"] for state in states])), 0.0
    else:
        raise UsageError("updates are captured of AdamW and of plain SGD, and this optimizer is neither")
    if decay:
        # p was multiplied by 1 - rate * decay before the step was added.
        before = (_flat(parameters) - scale * grad - rest) / (1 - rate * decay)
        rest = rest - rate * decay * before
    return scale, rest
