"""How far a tuned model has moved from its base: hidden states, next-token distributions, ranks of tokens.

After "Does Math Reasoning Improve General LLM Capabilities?" (arXiv 2507.00432, Figs. 3-5), whose definitions are kept
where they are sound: PCA shift on the prompts; KL and token ranks along the tuned model's own responses.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.api import Checkpoint, Example
from xferbench.errors import DataError, ModelError, UsageError, unknown
from xferbench.models import Encoded, Model, encode, load

DEFINITIONS = ("masked", "paper")
RESPONSES = ("sample", "greedy", "answers")
PAPER_LENGTH = 128
"""Tokens at which the paper cuts a prompt."""
SHIFTED = 3
"""A token is shifted when the base ranks it below this and the tuned model does not (Lin et al. 2023, URIAL)."""
SHOWN = 100
AT_ONCE = 16
"""Prompts in a batch."""
POSITIONS = 128
"""Tokens whose whole distributions are held in double precision together."""
KINDS = ("logical", "structural", "number", "content")
MEASURES = ("forward", "reverse", "k1", "k3", "rank")
LOGICAL = frozenset(
    """
    so thus hence therefore because since if then else when while but however although though unless until whether
    either neither nor or and not no yes as for given suppose assume let implies means first second third next last
    finally now also instead otherwise actually wait check again verify alternatively maybe perhaps must should would
    could can cannot all any each every some none only both same is are equals
    """.split()  # noqa: SIM905
)
"""Words that join or weigh statements rather than say what they are about."""


@dataclass(frozen=True)
class Settings:
    """How drift is measured; every field is part of what a stored measurement is known by."""

    prompts: int = 100
    """The first so many queries of a target."""
    responses: str = "sample"
    """sample: the tuned model's own, at temperature 1; greedy: its own likeliest; answers: the queries' own."""
    max_tokens: int = 64
    """Of a response."""
    definition: str = "masked"
    """Of the PCA shift: masked (padding left out) or paper (as the authors' code has it)."""
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, value, known in (("kind of response", self.responses, RESPONSES),
                                   ("definition of the PCA shift", self.definition, DEFINITIONS)):  # fmt: skip
            if value not in known:
                raise unknown(kind, value, known)
        if self.prompts < 1 or self.max_tokens < 1:
            raise UsageError("drift takes at least one prompt and one token of response")


def drift(tuned: Model, base: Checkpoint | Model, queries: Sequence[Example], how: Settings) -> dict[str, Any]:
    """Measure how far `tuned` is from `base` on the prompts of `queries`; plain JSON.

    prompts, tokens (of responses); pca: see `pca.shift`; responses: {forward, reverse, k1, k3, rank}, each a list with
    the mean over its tokens of every response (nats; places); kinds and shifted: see `_kinds`. ModelError when the two
    have different vocabularies, DataError when no query fits the context.
    """
    from xferbench import pca

    sides = _sides(tuned, base)
    asked = _prompts(tuned, queries, how)
    prompts = [one.ids[: one.prompt] for one in asked]
    with sides[0]() as network:
        before = hidden(network, prompts, how.definition)
    with sides[1]() as network:
        after = hidden(network, prompts, how.definition)
    said = asked if how.responses == "answers" else own(tuned, asked, how)
    said = [one for one in said if len(one.ids) > one.prompt]
    tokens = sum(len(one.ids) - one.prompt for one in said)
    return {"prompts": len(asked), "tokens": tokens, "pca": pca.shift(before, after, how.definition, how.seed),
            **along(tuned.tokenizer, sides, said)}  # fmt: skip


Side = Callable[[], AbstractContextManager[Any]]


def _sides(tuned: Model, base: Checkpoint | Model) -> tuple[Side, Side]:
    """The networks of base and tuned: one and the same, its adapter off and on, where the base is the adapter's own."""
    if tuned.checkpoint.adapter is not None and base == Checkpoint(tuned.checkpoint.base):

        @contextmanager
        def bare() -> Iterator[Any]:
            with tuned.network.disable_adapter():
                yield tuned.network

        return bare, lambda: nullcontext(tuned.network)
    other = base if isinstance(base, Model) else load(base)
    if other.tokenizer.get_vocab() != tuned.tokenizer.get_vocab():
        raise ModelError(
            f"{other.checkpoint.base} and {tuned.checkpoint.base} have different vocabularies: no token compares"
        )
    return lambda: nullcontext(other.network), lambda: nullcontext(tuned.network)


def _prompts(tuned: Model, queries: Sequence[Example], how: Settings) -> list[Encoded]:
    """The first queries that leave room for a response in the context."""
    found = []
    for one in queries[: how.prompts]:
        try:
            encoded = encode(tuned.tokenizer, one, tuned.context)
        except DataError:
            continue
        if 0 < encoded.prompt < tuned.context:
            found.append(encoded)
    if not found:
        raise DataError("no query leaves room for a response in the model's context")
    return found


def hidden(network: Any, prompts: Sequence[Sequence[int]], definition: str) -> NDArray[np.float64]:
    """Return the mean hidden state of each prompt in each layer, the embeddings first: (layers + 1, prompts, width).

    masked: over the prompt's tokens. paper: prompts cut at 128 tokens and padded on the left to the longest, and the
    mean over all places, padding among them, as the authors' analyse_PCA_Shift.py has it.
    """
    import torch

    paper = definition == "paper"
    cut = [list(ids[:PAPER_LENGTH]) if paper else list(ids) for ids in prompts]
    pad = network.config.pad_token_id if isinstance(network.config.pad_token_id, int) else network.config.eos_token_id
    found = []
    for start in range(0, len(cut), AT_ONCE):
        some = cut[start : start + AT_ONCE]
        ids, mask = _rows(some, max(map(len, cut if paper else some)), _one(pad), left=paper)
        with torch.inference_mode():
            out = network(input_ids=ids.to(network.device), attention_mask=mask.to(network.device),
                          output_hidden_states=True, use_cache=False)  # fmt: skip
            states = torch.stack(out.hidden_states).float()
        weight = torch.ones_like(mask) if paper else mask
        weight = (weight / weight.sum(dim=1, keepdim=True)).to(states)
        found.append(torch.einsum("lbtd,bt->lbd", states, weight).double().cpu().numpy())
    return np.concatenate(found, axis=1)


def _one(value: Any) -> int:
    """A model may have several end tokens, or none."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else 0


def _rows(some: Sequence[Sequence[int]], width: int, pad: int, left: bool) -> tuple[Any, Any]:
    """Ids and mask (rows, width). Padding on the right changes nothing for a causal model, whatever its positions."""
    import torch

    blank = [width - len(ids) for ids in some]
    ids = [[pad] * n + list(row) if left else list(row) + [pad] * n for row, n in zip(some, blank, strict=True)]
    mask = [[0] * n + [1] * (width - n) if left else [1] * (width - n) + [0] * n for n in blank]
    return torch.tensor(ids), torch.tensor(mask)


def own(tuned: Model, asked: Sequence[Encoded], how: Settings) -> list[Encoded]:
    """Let the tuned model respond to each prompt, end token included; the same responses from the same seed."""
    import torch
    from transformers import GenerationConfig

    pad, end = tuned.tokenizer.pad_token_id, tuned.tokenizer.eos_token_id
    found = []
    devices = [tuned.network.device] if tuned.network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode():
        torch.manual_seed(how.seed)
        for start in range(0, len(asked), AT_ONCE):
            prompts = [one.ids[: one.prompt] for one in asked[start : start + AT_ONCE]]
            width = max(map(len, prompts))
            ids, mask = _rows(prompts, width, pad, left=True)
            drawn: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if how.responses == "sample" else {}
            config = GenerationConfig(do_sample=bool(drawn), pad_token_id=pad, eos_token_id=end, **drawn,
                                      max_new_tokens=max(1, min(how.max_tokens, tuned.context - width)))  # fmt: skip
            out = tuned.network.generate(input_ids=ids.to(tuned.network.device), generation_config=config,
                                         attention_mask=mask.to(tuned.network.device))  # fmt: skip
            for prompt, row in zip(prompts, out[:, width:].tolist(), strict=True):
                said = row[: row.index(end) + 1] if end in row else row
                found.append(Encoded((*prompt, *said), len(prompt)))
    return found


def along(tokenizer: Any, sides: tuple[Side, Side], said: Sequence[Encoded]) -> dict[str, Any]:
    """Compare the next-token distributions of base and tuned at every token of the responses.

    Per token, p of the tuned model and q of the base, nats: forward KL(p || q) and reverse KL(q || p) over the whole
    vocabulary; k1 = log p(y) - log q(y) and k3 = q(y)/p(y) - 1 - log(q(y)/p(y)), estimates of forward from the token y
    alone (Schulman 2020), unbiased where y was sampled from p; rank = rank of y in the base - rank in the tuned, 1 the
    likeliest. Each is averaged over the tokens of a response.
    """
    import torch

    rows: dict[str, list[float]] = {name: [] for name in MEASURES}
    seen: list[tuple[int, int, int]] = []
    for one in said:
        ids = torch.tensor([one.ids])
        logs = []
        for side in sides:
            with side() as network, torch.inference_mode():
                logs.append(network(input_ids=ids.to(network.device), use_cache=False).logits[0, one.prompt - 1 : -1])
        size = min(log.shape[-1] for log in logs)  # the rows of an embedding may be padded beyond the vocabulary
        sums = torch.zeros(len(MEASURES), dtype=torch.float64)
        given = ids[0, one.prompt :, None]
        for start in range(0, len(given), POSITIONS):
            here = slice(start, start + POSITIONS)
            q, p = (log[here, :size].double().log_softmax(-1) for log in logs)
            values, places = _compare(p, q, given[here].to(p.device))
            sums += values.sum(dim=1).cpu()
            seen += zip(given[here, 0].tolist(), *places, strict=True)
        for name, value in zip(MEASURES, sums / len(given), strict=True):
            rows[name].append(float(value))
    return {"responses": rows, **_kinds(tokenizer, seen)}


def _compare(p: Any, q: Any, given: Any) -> tuple[Any, list[list[int]]]:
    """MEASURES (measures, tokens) of log-probabilities (tokens, vocabulary), and both ranks of the tokens given."""
    import torch

    mine, theirs = p.gather(1, given)[:, 0], q.gather(1, given)[:, 0]
    places = [1 + (log > log.gather(1, given)).sum(-1) for log in (q, p)]
    gap = theirs - mine
    values = (_divergence(p, q), _divergence(q, p), -gap, gap.exp() - 1 - gap, (places[0] - places[1]).double())
    return torch.stack(values), [place.tolist() for place in places]


def _divergence(p: Any, q: Any) -> Any:
    """KL(p || q) of log-probabilities (tokens, vocabulary); what p rules out adds nothing."""
    return (p.exp() * (p - q)).nan_to_num(0.0).sum(-1)


def _kinds(tokenizer: Any, seen: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    """Count tokens and shifted tokens by kind, and list the shifted ones, the most frequent first.

    kinds: {kind: {tokens, shifted}}; shifted: [{token, kind, count, rank}] with the mean rank shift. A token of a
    response is shifted when the base ranks it below third and the tuned model does not.
    """
    kinds: dict[str, Counter[str]] = {name: Counter(tokens=0, shifted=0) for name in KINDS}
    found: dict[int, list[int]] = {}
    for token, before, after in seen:
        name = kind(tokenizer.decode([token]))
        kinds[name]["tokens"] += 1
        if before > SHIFTED >= after:
            kinds[name]["shifted"] += 1
            found.setdefault(token, []).append(before - after)
    order = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:SHOWN]
    table = [
        {"token": (text := tokenizer.decode([token])), "kind": kind(text), "count": len(steps),
         "rank": float(np.mean(steps))} for token, steps in order
    ]  # fmt: skip
    return {"kinds": {name: dict(count) for name, count in kinds.items()}, "shifted": table}


def kind(token: str) -> str:
    """Say what a token is by its text: logical, structural (marks, blanks, line breaks), number, or content."""
    bare = token.strip().strip(".,;:!?()[]\"'").casefold()
    if bare in LOGICAL:
        return "logical"
    if bare.isdigit():
        return "number"
    return "content" if any(letter.isalpha() for letter in bare) else "structural"
