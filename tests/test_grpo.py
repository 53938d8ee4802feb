"""The grpo trainer: trl's own on a tiny model, and the judge that watches its rewards."""

import json
from statistics import fmean
from types import SimpleNamespace

import pytest

from xferbench import Checkpoint, DataError, Example, StepError, UsageError
from xferbench.work import _idle
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
    assert last["reward_errors"] == {"count": 0, "examples": {}}
    assert last["responses"] == QUICK["steps"] * QUICK["batch_size"]
    assert any("unended" in row for row in curve(trained[0]))


def test_what_it_leaves_on_the_disk_is_foretold(trained, llama):
    from safetensors.torch import load_file

    weights = load_file(f"{trained[1].adapter}/adapter_model.safetensors")
    assert GRPO(**QUICK).checkpoint_bytes(llama) == sum(one.nbytes for one in weights.values())


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
    with pytest.raises(DataError, match=r"grpo asks 4 prompts at once .* of 3 examples 3 have a prompt of at most 250"):
        GRPO(**QUICK).train(Checkpoint(str(llama)), EXAMPLES[:3], lower, tmp_path, seed=0)


WRONG = [
    ({"k": 1}, "a group of one response has nothing to be compared with"),
    ({"k": 3, "batch_size": 64}, "batch_size 64 is not a multiple of k=3"),
    ({"accumulate": 5}, "cannot be split into accumulate=5 equal parts"),
    ({"temperature": 0.0}, "temperature must be above 0"),
    ({"steps": 0}, "steps must be above 0"),
    ({"kl": -0.1}, "kl must not be below 0"),
    ({"top_p": 1.5}, "top_p is at most 1"),
    ({"loss": "dap"}, "loss is one of dapo, grpo"),
    ({"vllm_mode": "both"}, "vllm_mode is colocate or server, not both"),
    ({"learning_rate": float("nan")}, "learning_rate must be above 0, not nan"),
    ({"kl": float("inf")}, "kl must not be below 0, not inf"),
    ({"clip_high": -0.1}, "clip_high must be above 0 or none, not -0.1"),
    ({"schedule": "cosin"}, "trainer grpo: schedule is cosine, linear, constant or constant_with_warmup, not cosin"),
    ({"save_every": -1.0}, "save_every must be 0 or more seconds"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        GRPO(**wrong)


def test_groups_never_mix_domains_so_domains_that_differ_only_in_their_reward_teach_nothing(llama, tmp_path):
    """One domain always gives 1 and the other 0: only a group that held both would have anything to compare."""
    two = [Example(f"e{i}", f"Say {i}:", " x", f"tiny/{'one' if i % 2 else 'two'}") for i in range(8)]
    settings = GRPO(**QUICK | {"steps": 2, "batch_size": 32})
    settings.train(Checkpoint(str(llama)), two, lambda e, c: float(e.domain == "tiny/one"), tmp_path, seed=0)
    rows = curve(tmp_path)
    domains = [row for row in rows if "domain" in row]
    assert {(row["domain"], row["reward"], row["reward_sd"]) for row in domains} == {
        ("tiny/one", 1.0, 0.0),
        ("tiny/two", 0.0, 0.0),
    }
    assert all(row["zero_variance"] == 1 for row in domains)
    assert [row["grad_norm"] for row in rows if "grad_norm" in row] == [0.0, 0.0]
    assert {row["step"] for row in domains} == {1, 2}
    store = SimpleNamespace(result=lambda step: {"cost": {"steps": 2}}, folder=lambda step: tmp_path)
    why = _idle(SimpleNamespace(train="trained"), store)
    assert why is not None
    assert why.startswith("in no group did the rewards differ"), "and what measures it says so"


def test_each_setting_reaches_the_training(llama, tmp_path):
    """Another clip range, KL weight, loss or number of iterations gives other weights from the same start and seed."""
    base = QUICK | {"steps": 4, "iterations": 2, "max_completion": 4, "loss": "grpo"}
    found = {}
    for name, more in {"as is": {}, "clip": {"clip": 1e-4}, "kl": {"kl": 1.0}, "loss": {"loss": "sapo"},
                       "iterations": {"iterations": 1}, "temperature": {"temperature": 0.5}}.items():  # fmt: skip
        out = tmp_path / name
        out.mkdir()
        made = GRPO(**base | more).train(Checkpoint(str(llama)), EXAMPLES, lower, out, seed=0)
        found[name] = open(f"{made.adapter}/adapter_model.safetensors", "rb").read()
    assert len(set(found.values())) == len(found)
    assert any(row.get("clipped", 0) > 0 for row in curve(tmp_path / "clip"))
    assert not any("kl" in row for row in curve(tmp_path / "as is"))
    assert any(row.get("kl", 0) > 0 for row in curve(tmp_path / "kl"))


def test_what_does_not_end_is_cut_and_counted(llama, tmp_path):
    GRPO(**QUICK | {"steps": 1, "max_completion": 2}).train(Checkpoint(str(llama)), EXAMPLES, lower, tmp_path, seed=0)
    last = curve(tmp_path)[-1]
    assert (last["responses"], last["unended"]) == (16, 16)  # a random model hardly ever ends by itself


@pytest.mark.parametrize("lora", [True, False])
def test_the_divergence_is_from_the_start_and_not_from_the_model_beneath_its_adapter(lora, trained, tmp_path):
    """All weights trained from an adapter: trl itself would compare with the folder of the base model."""
    settings = GRPO(**QUICK | {"steps": 1, "lora": lora, "kl": 0.1})
    settings.train(trained[1], EXAMPLES, lower, tmp_path, seed=0)
    (first,) = [row["kl"] for row in curve(tmp_path) if "kl" in row]
    assert first == pytest.approx(0, abs=1e-6)


def test_memory_that_does_not_suffice_says_what_to_lower(llama, tmp_path, monkeypatch):
    import torch
    import trl

    def full(self, *arguments, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1 GiB free.")

    monkeypatch.setattr(trl.GRPOTrainer, "compute_loss", full)
    said = r"out of memory with 16 sequences of up to \d+ tokens at a time: lower batch_size or max_completion"
    with pytest.raises(StepError, match=said):
        GRPO(**QUICK).train(Checkpoint(str(llama)), EXAMPLES, lower, tmp_path, seed=0)


def test_the_judge_counts_errors_and_keeps_domains_apart():
    examples = [Example("a", "p", "x", "one"), Example("b", "p", "y", "two"), Example("c", "p", "z", "one")]

    def reward(example, completion):
        if example.id == "c":
            raise KeyError("boom")
        return float(completion == example.answer)

    judge = Judge(examples, reward)
    found = judge(completions=["x", "no", "y", "y", "z", "z"], index=[0, 0, 1, 1, 2, 2])
    assert found == [1.0, 0.0, 1.0, 1.0, None, None]
    assert judge.reward.told() == {"count": 2, "examples": {"c": "KeyError: 'boom'"}}
    one, two = judge.curve
    assert (one["domain"], one["reward"], one["reward_sd"], one["zero_variance"]) == ("one", 0.5, 0.5, 0.0)
    assert (two["domain"], two["reward"], two["zero_variance"]) == ("two", 1.0, 1.0)
