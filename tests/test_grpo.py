"""The grpo trainer: trl's own on a tiny model, and the judge that watches its rewards."""

import json
from statistics import fmean

import pytest

from xferbench import Checkpoint, DataError, Example, StepError, UsageError
from xferbench_grpo import GRPO
from xferbench_grpo.judge import Judge

EXAMPLES = [Example(f"e{i}", f"Question: what is {i}?\nAnswer:", " four", "tiny/one") for i in range(4)]
QUICK = {"steps": 3, "k": 4, "batch_size": 16, "max_completion": 6, "learning_rate": 5e-3, "rank": 8, "alpha": 16}
LEARN = {"steps": 20, "k": 8, "batch_size": 32, "max_completion": 6, "learning_rate": 5e-3, "lora": False}


def lower(example, completion):
    """The share of lower-case letters: a random model can learn to write more of them."""
    return sum(letter.islower() for letter in completion) / max(1, len(completion))


@pytest.fixture(scope="module")
def trained(llama, tmp_path_factory):
    out = tmp_path_factory.mktemp("grpo")
    return out, GRPO(**QUICK).train(Checkpoint(str(llama)), EXAMPLES, lower, out, seed=3)


def curve(out):
    return [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]


def test_the_reward_rises_and_all_weights_can_be_trained(llama, tmp_path):
    made = GRPO(**LEARN).train(Checkpoint(str(llama)), EXAMPLES, lower, tmp_path, seed=3)
    rewards = [row["reward"] for row in curve(tmp_path) if "reward" in row]
    assert len(rewards) == LEARN["steps"]
    assert fmean(rewards[-4:]) > fmean(rewards[:4]) + 0.1
    assert made == Checkpoint(str(tmp_path / "model"))


def test_the_log_ends_with_what_was_spent(trained):
    last = curve(trained[0])[-1]
    assert last["steps"] == QUICK["steps"]
    assert last["tokens"] > 0
    assert last["reward_errors"] == 0
    assert any("unended" in row for row in curve(trained[0]))


def test_the_same_seed_gives_the_same_bytes(trained, llama, tmp_path):
    again = GRPO(**QUICK).train(Checkpoint(str(llama)), EXAMPLES, lower, tmp_path, seed=3)
    first, second = (f"{made.adapter}/adapter_model.safetensors" for made in (trained[1], again))
    assert open(first, "rb").read() == open(second, "rb").read()


def test_a_start_with_an_adapter_is_trained_further(trained, tmp_path):
    made = GRPO(**QUICK | {"steps": 2}).train(trained[1], EXAMPLES, lower, tmp_path, seed=0)
    assert made.base == trained[1].base
    assert made.adapter != trained[1].adapter


def test_a_reward_that_always_fails_is_an_error_that_names_it(llama, tmp_path):
    def broken(example, completion):
        raise ValueError("no unit")

    with pytest.raises(StepError, match="no unit"):
        GRPO(**QUICK | {"steps": 1}).train(Checkpoint(str(llama)), EXAMPLES, broken, tmp_path, seed=0)


def test_too_few_prompts_are_refused(llama, tmp_path):
    with pytest.raises(DataError, match="at least 4 prompts"):
        GRPO(**QUICK).train(Checkpoint(str(llama)), EXAMPLES[:3], lower, tmp_path, seed=0)


@pytest.mark.parametrize("wrong", [{"k": 1}, {"k": 3, "batch_size": 64}, {"temperature": 0.0}, {"steps": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        GRPO(**wrong)


def test_the_judge_counts_errors_and_keeps_domains_apart():
    examples = [Example("a", "p", "x", "one"), Example("b", "p", "y", "two"), Example("c", "p", "z", "one")]

    def reward(example, completion):
        if example.id == "c":
            raise KeyError("boom")
        return float(completion == example.answer)

    judge = Judge(examples, reward)
    found = judge(completions=["x", "no", "y", "y", "z", "z"], index=[0, 0, 1, 1, 2, 2])
    assert found == [1.0, 0.0, 1.0, 1.0, None, None]
    assert judge.errors == {"c": "KeyError: 'boom'"}
    one, two = judge.curve
    assert (one["domain"], one["reward"], one["reward_sd"], one["zero_variance"]) == ("one", 0.5, 0.5, 0.0)
    assert (two["domain"], two["reward"], two["zero_variance"]) == ("two", 1.0, 1.0)
