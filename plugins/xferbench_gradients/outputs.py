"""From hidden states to the gradient that starts the backward pass, with logits only where an answer is learnt.

The gradient of the loss by the logits is written down directly, a slice of tokens at a time, so a vocabulary of any
size costs bounded memory and no graph.
"""

from typing import Any

import torch
from torch.nn.functional import linear

LARGEST = 2**25
"""Logits held at once."""


class Head:
    """The way from tokens to logits: body and output layer apart where that gives the network's own logits exactly."""

    def __init__(self, network: Any, tapped: bool) -> None:
        """Look at the network; `tapped`: gradients of the output layer itself are wanted, so it must run whole."""
        self.network = network
        self.model = network.get_base_model() if hasattr(network, "get_base_model") else network
        self.layer = self.model.get_output_embeddings()
        self.body = getattr(self.model, "base_model", self.model)
        self.apart = not tapped and self._splits()

    def _splits(self) -> bool:
        if type(self.layer) is not torch.nn.Linear or self.body is self.model:
            return False
        ids = torch.arange(2, device=self.layer.weight.device)[None] + 1
        with torch.no_grad():
            whole = self.network(input_ids=ids, use_cache=False).logits
            # A network that scales or caps its logits, or does anything else after the output layer, differs here.
            return bool(torch.equal(whole, self.layer(self.body(input_ids=ids, use_cache=False)[0])))

    def run(self, tensors: tuple[Any, ...], output: str) -> tuple[Any, Any]:
        """Run one batch forward and backward; return per example the mean loss (nats) and mean token probability.

        `tensors` as Batch.tensors gives them. output "loss": the mean over learnt tokens of -log p. "margin": the
        sum over them of log(p / (1 - p)).
        """
        ids, example, place, learnt, counts = tensors
        dtype = torch.promote_types(next(self.model.parameters()).dtype, torch.float32)
        weight = (1 / counts.to(dtype) if output == "loss" else torch.ones_like(counts, dtype=dtype))[example]
        if self.apart:
            hidden = self.body(input_ids=ids, use_cache=False)[0]
            known = hidden.detach()[example, place]
            gradient, logs = self._through(known, learnt, weight, output)
            start = torch.zeros_like(hidden).index_put_((example, place), gradient.to(hidden.dtype))
            torch.autograd.backward([hidden], [start])
        else:
            logits = self.network(input_ids=ids, use_cache=False).logits
            residual, logs = residuals(logits.detach()[example, place], learnt, output)
            residual = (residual * weight[:, None]).to(logits.dtype)
            start = torch.zeros_like(logits).index_put_((example, place), residual)
            torch.autograd.backward([logits], [start])
        sums = torch.zeros(2, len(ids), dtype=torch.float64, device=ids.device)
        sums.index_add_(1, example, torch.stack([-logs, logs.exp()]).double())
        return sums[0] / counts, sums[1] / counts

    def _through(self, hidden: Any, learnt: Any, weight: Any, output: str) -> tuple[Any, Any]:
        matrix, bias = self.layer.weight.detach(), self.layer.bias
        step = max(1, LARGEST // len(matrix))
        gradients, logs = [], []
        for start in range(0, len(hidden), step):
            some = slice(start, start + step)
            residual, log = residuals(linear(hidden[some], matrix, bias), learnt[some], output)
            gradients.append((residual.to(matrix.dtype) @ matrix) * weight[some, None])
            logs.append(log)
        return torch.cat(gradients), torch.cat(logs)


def residuals(logits: Any, learnt: Any, output: str) -> tuple[Any, Any]:
    """Return the gradient by the logits (tokens, vocabulary), and log p of the token learnt (tokens,).

    loss: softmax(z) - onehot. margin, log(p / (1 - p)) = z_y - logsumexp of the others: onehot - softmax of the others.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    at = torch.arange(len(learnt), device=logits.device)
    if output == "loss":
        shares = torch.softmax(logits, -1)
        own = shares[at, learnt]
        # A share that rounds to 0 still has a logarithm: only then is it worth the slower way.
        logs = own.log() if bool((own > 0).all()) else torch.log_softmax(logits, -1)[at, learnt]
        shares[at, learnt] -= 1
        return shares, logs
    logs = logits[at, learnt] - torch.logsumexp(logits, -1)
    others = torch.softmax(logits.index_put((at, learnt), torch.full_like(logs, -torch.inf)), -1).neg_()
    others[at, learnt] = 1
    return others, logs
