"""The engine: per-example gradients of a loaded network, a batch at a time, handed to a sink.

    with Engine(model) as engine:
        plan = engine.plan(examples)
        sink = Exact(len(examples))
        engine.run(plan, sink)

Within the `with` block the network is changed (dropout off, layers tapped); leaving it puts everything back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from xferbench import Example, UsageError, report_progress
from xferbench_gradients.batches import Plan, plan
from xferbench_gradients.outputs import Head
from xferbench_gradients.record import Recorder
from xferbench_gradients.sites import sites

TOKENS = {"cpu": 2048}
"""Tokens in a batch where none are asked for, padding included: more makes a CPU slower, a GPU takes MANY."""
MANY = 8192


@dataclass(frozen=True)
class Tally:
    """Seen on the way, per example, float64, nan for one that was skipped."""

    loss: Any
    """Mean over learnt tokens of -log p, in nats."""
    probability: Any
    """Mean over learnt tokens of p."""


class Engine:
    """Per-example gradients of the adapter's parameters, or of full layers where there is no adapter."""

    def __init__(self, model: Any, layers: str = "", tokens: int = 0, fuse: bool = True) -> None:
        """Look the network over. `tokens`: padded tokens in a batch (0: 2048 on a CPU, 8192 elsewhere).

        `layers` and `fuse` as in sites(). Raises UsageError when no layer can be taken.
        """
        self.model, self.network = model, model.network
        self.sites = sites(self.network, layers, fuse)
        self.device = next(self.network.parameters()).device
        self.tokens = tokens or TOKENS.get(self.device.type, MANY)
        self.blocks = {block: parameter for site in self.sites for block, parameter in site.blocks.items()}
        """The parameters that gradients are taken of, by name, in order."""
        self.recorder = Recorder()
        self.done = self.total = 0
        self._undo: list[Any] = []

    def __enter__(self) -> "Engine":
        network = self.network
        training = [m for m in network.modules() if m.training]
        wanted = [p for p in network.parameters() if p.requires_grad]

        def restore() -> None:
            for module in training:
                module.training = True
            for parameter in wanted:
                parameter.requires_grad_(True)

        self._undo = [restore]
        try:
            network.eval()
            network.requires_grad_(False)
            inner = network.get_base_model() if hasattr(network, "get_base_model") else network
            head = inner.get_output_embeddings()
            inside = set() if head is None else set(head.modules())
            self.head = Head(network, any(site.module in inside for site in self.sites))
            self.recorder.trigger = torch.zeros((), device=self.device, requires_grad=True)
            for site in self.sites:
                self._undo.append(site.attach(self.recorder))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        while self._undo:
            self._undo.pop()()
        self.recorder = Recorder()

    def plan(self, examples: Sequence[Example]) -> Plan:
        """Encode examples and put them in batches; the plan counts toward the progress reported."""
        made = plan(self.model, examples, self.tokens)
        self.total += len(made.batches)
        return made

    def run(self, made: Plan, sink: Any, output: str = "loss") -> Tally:
        """Take each example's gradient of its mean loss over learnt tokens (or of the "margin") into the sink."""
        tally = torch.full((2, len(made.ids)), torch.nan, dtype=torch.float64, device=self.device)
        for batch in made.batches:
            rows = torch.tensor(batch.rows, device=self.device)
            tensors = batch.tensors(self.device)
            self.recorder.begin(sink, rows, tuple(tensors[0].shape))
            with torch.enable_grad():
                tally[:, rows] = torch.stack(self.head.run(tensors, output))
            missing = [block for block in self.blocks if self.recorder.seen.get(block) != len(batch.rows)]
            if missing:
                raise UsageError(f"no gradient reached {missing[0]}: the network does not run this layer on each token")
            self.done += 1
            report_progress(self.done, self.total)
        return Tally(tally[0], tally[1])
