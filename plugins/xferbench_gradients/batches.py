"""Which examples go through the network together: sorted by length, so that little is padded, and bounded in tokens.

Padding is on the right and repeats the example's own last token: a causal network never looks ahead, so nothing
changes, and an example whose numbers are broken cannot break its neighbours through a shared padding token.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xferbench import DataError, Encoded, Example, encode


@dataclass(frozen=True)
class Batch:
    """Some examples as one block of tokens: `rows` are their places in the list they came from."""

    rows: tuple[int, ...]
    encoded: tuple[Encoded, ...]

    def tensors(self, device: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Return ids (examples, longest), then for each token to be learnt: its example, the place before it, its id.

        The fifth is the number of learnt tokens of each example. All int64, on `device`.
        """
        import torch

        longest = max(len(e.ids) for e in self.encoded)
        ids = torch.tensor([[*e.ids, *[e.ids[-1]] * (longest - len(e.ids))] for e in self.encoded])
        starts = [max(e.prompt, 1) for e in self.encoded]
        counts = torch.tensor([len(e.ids) - start for e, start in zip(self.encoded, starts, strict=True)])
        example = torch.repeat_interleave(torch.arange(len(starts)), counts)
        spans = [torch.arange(start, len(e.ids)) for e, start in zip(self.encoded, starts, strict=True)]
        place = torch.cat(spans)
        learnt = ids[example, place]
        return tuple(t.to(device) for t in (ids, example, place - 1, learnt, counts))  # type: ignore[return-value]


@dataclass(frozen=True)
class Plan:
    """A list of examples as batches; `skipped` are the places of examples that leave nothing to learn."""

    ids: tuple[str, ...]
    batches: tuple[Batch, ...]
    skipped: tuple[int, ...]


def plan(model: Any, examples: Sequence[Example], tokens: int) -> Plan:
    """Encode the examples and put them in batches of at most `tokens` tokens, padding included (one at the least).

    An example longer than the network's context is cut at its end; one whose prompt fills the context is skipped.
    Both are warned of once, with their number.
    """
    kept: dict[int, Encoded] = {}
    skipped, cut = [], 0
    for row, example in enumerate(examples):
        try:
            encoded = encode(model.tokenizer, example)
        except DataError:
            skipped.append(row)
            continue
        if len(encoded.ids) > model.context:
            cut += 1
            encoded = Encoded(encoded.ids[: model.context], encoded.prompt)
        if len(encoded.ids) <= max(encoded.prompt, 1):
            skipped.append(row)
        else:
            kept[row] = encoded
    if cut:
        warnings.warn(
            f"{cut} of {len(examples)} examples are longer than the context: cut to {model.context} tokens",
            stacklevel=2,
        )
    if skipped:
        names = ", ".join(examples[row].id for row in skipped[:10]) + (", ..." if len(skipped) > 10 else "")
        warnings.warn(
            f"{len(skipped)} of {len(examples)} examples leave no answer to learn, score nan: {names}", stacklevel=2
        )
    return Plan(tuple(e.id for e in examples), tuple(packed(kept, tokens)), tuple(skipped))


def packed(kept: dict[int, Encoded], tokens: int) -> list[Batch]:
    """Put encoded examples, by place, in batches of at most `tokens` tokens with their padding, by length."""
    # Longest first: if memory is too small, that shows at once and not at the end.
    order = sorted(kept, key=lambda row: (-len(kept[row].ids), row))
    batches: list[Batch] = []
    while order:
        size = max(1, tokens // len(kept[order[0]].ids))
        rows, order = tuple(order[:size]), order[size:]
        batches.append(Batch(rows, tuple(kept[row] for row in rows)))
    return batches
