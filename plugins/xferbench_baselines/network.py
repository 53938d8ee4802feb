"""Baselines that run the network forward: nearness of hidden states, and how far training lowered the loss."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from xferbench import DataError, Encoded, Example, ModelError, UsageError, encode

ROWS = 16
"""Examples in one pass."""


def nearness(model: Any, encoder: str, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return the cosine of an example's embedding with the mean unit embedding of each group: (examples, groups)."""
    embed = _encoder(encoder) if encoder else _own(model)
    rows = _unit(embed(examples))
    aims = torch.stack([_unit(embed(group)).mean(0) for group in queries])
    return (rows @ _unit(aims).T).numpy()


def _unit(rows: Any) -> Any:
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)


def _own(model: Any) -> Any:
    """The last hidden states of the run's own network, mean over the tokens of prompt and answer."""
    network = model.network.get_base_model() if hasattr(model.network, "get_base_model") else model.network
    body = getattr(network, "base_model", network)

    def embed(given: Sequence[Example]) -> Any:
        out = torch.full((len(given), network.config.hidden_size), torch.nan, dtype=torch.float64)
        for rows, ids, mask in _padded(_encoded(model, given)):
            with torch.no_grad():
                found = body(input_ids=ids.to(network.device), attention_mask=mask.to(network.device), use_cache=False)
            out[rows] = _mean(found[0], mask)
        return out

    return embed


def _mean(hidden: Any, mask: Any) -> Any:
    hidden, weight = hidden.double().cpu(), mask.double()[..., None]
    return (hidden * weight).sum(1) / weight.sum(1)


def _encoder(folder: str) -> Any:
    """A sentence encoder from a local folder: mean of the last hidden states, as sentence-transformers pools them."""
    from transformers import AutoModel, AutoTokenizer

    if not (Path(folder).expanduser() / "config.json").is_file():
        raise UsageError(f"scorer embedding: {folder} holds no encoder (no config.json there)")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        network: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    except Exception as error:  # transformers raises anything here, from KeyError to OSError
        raise ModelError(f"scorer embedding: {folder} cannot be loaded: {str(error).splitlines()[0]}") from error
    longest = min(network.config.max_position_embeddings, tokenizer.model_max_length, 512)

    def embed(given: Sequence[Example]) -> Any:
        out = []
        for start in range(0, len(given), ROWS):
            texts = [f"{one.prompt} {one.answer}" for one in given[start : start + ROWS]]
            found = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
            with torch.no_grad():
                out.append(_mean(network(**found)[0], found["attention_mask"]))
        return torch.cat(out)

    return embed


def reductions(model: Any, part: str, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return loss before training minus loss after, in nats (examples, groups): of the example, or of the group."""
    if not hasattr(model.network, "disable_adapter"):
        raise UsageError("scorer loss_reduction compares with the adapter switched off, and the checkpoint has none")
    if part == "example":
        return np.repeat(_reduction(model, examples)[:, None], len(queries), axis=1)
    means = [np.nanmean(_reduction(model, group)) for group in queries]
    return np.repeat(np.array(means)[None], len(examples), axis=0)


def _reduction(model: Any, given: Sequence[Example]) -> Any:
    encoded = _encoded(model, given)
    if not encoded:
        raise DataError("none of the examples leaves an answer to learn")
    return _losses(model, encoded, len(given), before=True) - _losses(model, encoded, len(given), before=False)


def _losses(model: Any, encoded: dict[int, Encoded], n: int, before: bool) -> Any:
    out = np.full(n, np.nan)
    network = model.network
    with torch.no_grad(), network.disable_adapter() if before else nullcontext():
        for rows, ids, mask in _padded(encoded):
            logits = network(input_ids=ids.to(network.device), attention_mask=mask.to(network.device)).logits
            for row, place in zip(rows, range(len(rows)), strict=True):
                one = encoded[row]
                start = max(one.prompt, 1)
                some = logits[place, start - 1 : len(one.ids) - 1].float().cpu()
                out[row] = float(cross_entropy(some, torch.tensor(one.ids[start:])))
    return out


def _encoded(model: Any, given: Sequence[Example]) -> dict[int, Encoded]:
    found, skipped = {}, []
    for row, example in enumerate(given):
        try:
            found[row] = encode(model.tokenizer, example, model.context)
        except DataError:
            skipped.append(example.id)
    if skipped:
        shown = ", ".join(skipped[:10])
        warnings.warn(
            f"{len(skipped)} of {len(given)} examples leave no answer to learn, score nan: {shown}", stacklevel=2
        )
    return found


def _padded(encoded: dict[int, Encoded]) -> Iterator[tuple[list[int], Any, Any]]:
    """Yield (rows, ids, mask) of a few examples at a time, by length, padded on the right."""
    order = sorted(encoded, key=lambda row: len(encoded[row].ids))
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        longest = len(encoded[rows[-1]].ids)
        ids = [[*encoded[row].ids, *[encoded[row].ids[-1]] * (longest - len(encoded[row].ids))] for row in rows]
        mask = [[1] * len(encoded[row].ids) + [0] * (longest - len(encoded[row].ids)) for row in rows]
        yield rows, torch.tensor(ids), torch.tensor(mask)
