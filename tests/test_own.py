"""SFT on the model's own right answers: what is kept was sampled by the model and judged right, token by token."""

import json
from pathlib import Path

import pytest
from transformers import set_seed

from xferbench import Checkpoint, Example, StepError, UsageError, load
from xferbench.train import train
from xferbench_sft import SFT
from xferbench_sft.own import own_answers

EXAMPLES = [Example(f"e{n}", f"Question: what is {n}?\nAnswer:", "never learnt", "tiny/one") for n in range(6)]
OWN = SFT(policy="self", k=16, max_completion=60, batch_size=2, rank=4, max_steps=3, learning_rate=1e-2)
ASKED = len(EXAMPLES) * OWN.k


def even(example, completion):
    """A random model is right about every second time, and one answer in six ends within 60 tokens."""
    return float(len(completion) % 2 == 0)


@pytest.fixture(scope="module")
def start(llama):
    return Checkpoint(str(llama))


def test_only_right_answers_that_end_are_kept_and_each_once(start):
    set_seed(0)
    model = load(start)
    told = []

    def reward(example, completion):
        told.append((example.id, completion))
        return even(example, completion)

    kept, fate = own_answers(OWN, model, EXAMPLES, reward, 256)
    end = model.tokenizer.eos_token_id
    assert fate["responses"] == len(told) == ASKED
    assert fate["kept"] == len(kept) == len(set(kept))
    prompts = {tuple(model.tokenizer(one.prompt)["input_ids"]): one for one in EXAMPLES}
    for one in kept:
        example = prompts[one.ids[: one.prompt]]
        text = model.tokenizer.decode(one.ids[one.prompt :], skip_special_tokens=True)
        assert one.ids[-1] == end
        assert end not in one.ids[one.prompt : -1]
        assert (example.id, text) in told
        assert even(example, text) == 1.0
        assert len(one.ids) - one.prompt <= OWN.max_completion


def test_the_same_seed_learns_the_same_and_the_given_answers_do_not_matter(start, tmp_path):
    other = [Example(one.id, one.prompt, f"another {n}", one.domain) for n, one in enumerate(EXAMPLES)]
    found = []
    for number, examples in enumerate((EXAMPLES, other)):
        out = tmp_path / str(number)
        out.mkdir()
        made, cost = train(OWN, start, examples, even, out, 5)
        found.append(Path(made.adapter, "adapter_model.safetensors").read_bytes())
    assert found[0] == found[1]
    assert 0 < cost["kept"] < cost["responses"] == ASKED
    last = json.loads((out / "training.jsonl").read_text().splitlines()[-1])
    assert {"kept", "responses", "unended", "reward_errors"} <= set(last)


def test_too_few_right_answers_are_an_error_that_counts_them(start, tmp_path):
    said = r"0 of the model's own 96 answers are right \(0 of 6 prompts\), and a batch takes 2: raise k"
    with pytest.raises(StepError, match=said):
        OWN.train(start, EXAMPLES, lambda example, completion: 0.0, tmp_path, 0)


def test_a_reward_that_fails_on_all_answers_is_named(start, tmp_path):
    def broken(example, completion):
        raise ValueError("no unit")

    with pytest.raises(StepError, match=r"the reward failed on every response, first on e\d: ValueError: no unit"):
        OWN.train(start, EXAMPLES, broken, tmp_path, 0)


def test_without_a_reward_there_is_nothing_to_keep_by(start, tmp_path):
    with pytest.raises(UsageError, match="policy=self needs a domain with a reward"):
        OWN.train(start, EXAMPLES, None, tmp_path, 0)
    with pytest.raises(UsageError, match="policy is given or self, not own"):
        SFT(policy="own")
