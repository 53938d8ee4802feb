"""The model's own right answers as training data: rejection sampling (RFT: Yuan et al. 2023, arXiv 2308.01825).

What is learnt is what was sampled, token by token and with its end token, so the data come from the policy itself.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from xferbench import Encoded, Example, Model, Reward, StepError, encode, report_progress
from xferbench_rewards import Watched

if TYPE_CHECKING:
    from xferbench_sft import SFT

AT_ONCE = 64
"""Answers sampled together."""


def own_answers(
    settings: "SFT", model: Model, examples: Sequence[Example], reward: Reward, longest: int
) -> tuple[list[Encoded], dict[str, Any]]:
    """Sample k answers to each prompt and keep the distinct ones with reward 1; return them and what was counted.

    `longest`: tokens of prompt and answer. An answer that does not end by itself is cut, counted and not kept. Raises
    StepError when fewer are kept than make a batch.
    """
    prompts = [(one, encode(model.tokenizer, one)) for one in examples]
    fitting = [(one, found.ids[: found.prompt]) for one, found in prompts if found.prompt < longest]
    fitting.sort(key=lambda pair: len(pair[1]))
    watched = Watched(reward)
    kept: dict[tuple[str, tuple[int, ...]], Encoded] = {}
    unended = 0
    for example, prompt, answer, ended in _samples(settings, model, fitting, longest):
        unended += not ended
        value = watched(example, model.tokenizer.decode(answer, skip_special_tokens=True))
        if ended and value == 1.0:
            kept[example.id, answer] = Encoded((*prompt, *answer), len(prompt))
    watched.settle()
    needed = settings.batch_size * settings.accumulate
    if len(kept) < needed:
        solved = len({name for name, _ in kept})
        raise StepError(
            f"sft:policy=self: {len(kept)} of the model's own {watched.seen} answers are right ({solved} of "
            f"{len(fitting)} prompts), and a batch takes {needed}: raise k, lower batch_size, or train on the given "
            "answers first (sft>sft:policy=self)"
        )
    fate = {"dropped": len(examples) - len(fitting), "cut": 0, "responses": watched.seen, "unended": unended}
    return list(kept.values()), fate | {"kept": len(kept), "reward_errors": watched.told()}


def _samples(
    settings: "SFT", model: Model, fitting: Sequence[tuple[Example, tuple[int, ...]]], longest: int
) -> Iterator[tuple[Example, tuple[int, ...], tuple[int, ...], bool]]:
    """Yield (example, its prompt, one answer, whether it ended): k for each prompt, in tokens."""
    network, tokenizer = model.network, model.tokenizer
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    size = max(1, AT_ONCE // settings.k)
    network.eval()
    for at in range(0, len(fitting), size):
        some = fitting[at : at + size]
        width = max(len(prompt) for _, prompt in some)
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for _, prompt in some])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for _, prompt in some])
        with torch.no_grad():
            found = network.generate(
                input_ids=ids.to(network.device), attention_mask=mask.to(network.device), do_sample=True,
                temperature=settings.temperature, top_p=settings.top_p, top_k=0, num_return_sequences=settings.k,
                max_new_tokens=min(settings.max_completion, longest - width), pad_token_id=pad, eos_token_id=end,
            )[:, width:].tolist()  # fmt: skip
        for number, answer in enumerate(found):
            example, prompt = some[number // settings.k]
            ended = end in answer
            yield example, prompt, tuple(answer[: answer.index(end) + 1] if ended else answer), ended
        report_progress(at, 2 * len(fitting))
    network.train()
