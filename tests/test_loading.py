"""How a base is held and computed in training: bits, attention, packing; what is not used is no part of an id."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from xferbench import Checkpoint, Example, UsageError, cuda, load
from xferbench.able import check
from xferbench.catalog import load as load_catalog
from xferbench.evaluate import check_changed
from xferbench.settings import identity
from xferbench.steps import Named, trained
from xferbench.tiny import make_model
from xferbench.train import train
from xferbench_grpo import GRPO
from xferbench_sft import SFT, fit, network

BOARD = Path(__file__).parent.parent / "leaderboards" / "mini" / "entries"
EXAMPLES = [Example(f"e{n}", f"Is {n} odd or even?", "odd" if n % 2 else "even and " * (n % 5)) for n in range(12)]
ONE = SFT(learning_rate=1e-9, batch_size=12, rank=4, max_steps=1, max_length=128)
"""One step on all the examples: the loss is that of the start."""


def loss(settings, base, out):
    out.mkdir()
    train(settings, Checkpoint(str(base)), EXAMPLES, None, out, 0)
    rows = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    return next(row["loss"] for row in rows if "loss" in row)


def test_the_id_of_a_training_that_uses_none_of_the_added_settings_is_what_it_was():
    """Those of the board are older than the settings: built again by today's trainer, they keep their ids."""
    path = next(iter(sorted(BOARD.glob("*/*--sft--*.json"))))
    contents = {name: one["content"] for name, one in json.loads(path.read_text())["steps"].items()}
    catalog = load_catalog()
    names = [name for name, one in contents.items() if "trainer" in one and not one["start"]]
    assert names
    for name in names:
        old = trained(contents, name)
        assert old.id == name
        made = catalog.make("trainer", old.trainer.name, old.trainer.settings)
        said = {key: value for key, value in identity(made).items() if key not in made.aside}
        again = dataclasses.replace(old, trainer=Named(old.trainer.name, said, old.trainer.version))
        assert again.id == name
        packed = identity(dataclasses.replace(made, packing=True))
        assert packed["packing"] is True
        assert set(packed) - set(identity(made)) == {"packing"}


@pytest.mark.parametrize("kind", [SFT, GRPO])
def test_an_added_setting_is_a_field_and_is_said_only_where_it_is_used(kind):
    assert not set(kind.added) & set(identity(kind()))
    assert identity(kind(attention="eager")) == {**identity(kind()), "attention": "eager"}
    assert identity(kind(bits=4))["bits"] == 4


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def loud(request, tmp_path_factory):
    """A tiny model whose tokens heed each other: its random weights are large. It drops nothing out."""
    folder = make_model(tmp_path_factory.mktemp("loud") / "model", request.param)
    network = load(Checkpoint(str(folder))).network
    for weight in network.parameters():
        weight.data *= 10 if weight.dim() > 1 else 1
    for rate in ("attn_pdrop", "embd_pdrop", "resid_pdrop"):
        setattr(network.config, rate, 0.0)
    network.save_pretrained(folder)
    return folder


def test_packed_rows_teach_the_same_tokens_and_no_example_sees_its_neighbour(loud, tmp_path, monkeypatch):
    made = []

    class Seen(fit.SFTTrainer):
        def __init__(self, **given):
            super().__init__(**given)
            made.append(self)

    monkeypatch.setattr(fit, "SFTTrainer", Seen)
    losses = [loss(dataclasses.replace(ONE, packing=packing), loud, tmp_path / str(packing)) for packing in (0, 1)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    padded, packed = (list(one.get_train_dataloader()) for one in made)
    learnt = [sum(int((batch["labels"] != -100).sum()) for batch in batches) for batches in (padded, packed)]
    encoded, _ = fit.encode_all(load(Checkpoint(str(loud))).tokenizer, EXAMPLES, ONE.max_length)
    given = [sum(row["completion_mask"]) for row in fit.as_dataset(encoded)]
    assert learnt == [sum(given)] * 2
    assert len(made[1].train_dataset) < len(made[0].train_dataset) == len(EXAMPLES)
    assert max(map(len, made[1].train_dataset["input_ids"])) <= ONE.max_length
    assert padded[0]["input_ids"].numel() > packed[0]["input_ids"].numel()  # no padding
    (batch,) = packed
    with torch.no_grad():  # one long row that sees all of itself has quite another loss
        mixed = load(Checkpoint(str(loud))).network(input_ids=batch["input_ids"], labels=batch["labels"]).loss.item()
    assert abs(mixed - losses[0]) > 0.01


@pytest.mark.parametrize("loud", ["llama"], indirect=True)
def test_every_attention_computes_the_same_loss(loud, tmp_path):
    losses = {one: loss(dataclasses.replace(ONE, attention=one), loud, tmp_path / one) for one in ("eager", "sdpa")}
    assert losses["eager"] == pytest.approx(losses["sdpa"], abs=1e-4)
    for one in losses:
        loaded = load(Checkpoint(str(loud)), attention=one).network
        assert loaded.config._attn_implementation == one
    assert load(Checkpoint(str(loud))).network.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bits": 5}, "bits is 4, 8 or none, not 5"),
        ({"bits": True}, "bits is 4, 8 or none, not True"),
        ({"bits": 4, "lora": False}, r"bits=4 holds the weights still, so it is for adapters \(lora=true\)"),
        ({"attention": "flash"}, "attention is auto, sdpa, eager or flash_attention_2, not flash"),
        ({"packing": True, "capture_updates": 8}, "capture_updates tells examples apart, and packing joins them"),
        ({"packing": True, "processes": 2}, "packing is for one process; processes=2 must be 1"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(UsageError, match=f"^trainer sft: {said}$"):
        SFT(**settings)


def test_packing_is_no_setting_of_grpo():
    with pytest.raises(UsageError, match=r"packing"):
        load_catalog().make("trainer", "grpo", {"packing": "true"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
@pytest.mark.parametrize(
    ("name", "setting", "package"),
    [
        ("sft", "bits=4", "bitsandbytes"),
        ("grpo", "bits=4", "bitsandbytes"),
        ("sft", "attention=flash_attention_2", "flash-attn"),
        ("grpo", "attention=flash_attention_2", "flash-attn"),
        ("grpo", "vllm=true", "vllm"),
    ],
)
def test_what_this_machine_cannot_do_is_refused_before_any_training(name, setting, package, monkeypatch, tmp_path):
    catalog = load_catalog()
    settings = dict([setting.split("=")])
    asked = [Named(name, settings, "1")]
    monkeypatch.setattr(cuda, "find_spec", lambda module: None)
    with pytest.raises(UsageError, match=rf"^trainer {name}: {setting} needs the package {package} \(pip install"):
        check(catalog, [], asked)
    monkeypatch.setattr(cuda, "find_spec", lambda module: True)
    with pytest.raises(UsageError, match=f"^trainer {name}: {setting} needs CUDA, and no card is seen here"):
        check(catalog, [], asked)
    check(catalog, [], asked, executor="slurm")  # the machines that train may have one,
    with pytest.raises(UsageError, match="needs CUDA"):  # and each is asked when it does
        train(catalog.make("trainer", name, settings), Checkpoint("nowhere"), EXAMPLES, None, tmp_path, 0)


@pytest.mark.parametrize(("bits", "kind"), [(4, "Linear4bit"), (8, "Linear8bitLt")])
def test_adapters_learn_on_a_base_of_few_bits_and_are_worn_by_the_whole_one(bits, kind, llama, tmp_path, monkeypatch):
    """By bitsandbytes itself, where it is installed: it has kernels for a CPU, slow ones, that suffice for this."""
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(SFT, "check", lambda self: None)
    settings = SFT(learning_rate=1e-2, batch_size=12, rank=4, max_steps=4, schedule="constant", bits=bits)
    start = network.begin(settings, Checkpoint(str(llama)), 0).network
    held = [one.base_layer for one in start.modules() if hasattr(one, "base_layer")]
    assert [type(one).__name__ for one in held] == [kind] * 14  # the seven of each layer; the output layer stays whole
    made, losses = Checkpoint(str(llama)), []
    for turn in ("first", "further"):  # what it made is trained further
        out = tmp_path / turn
        out.mkdir()
        made, _ = train(dataclasses.replace(settings, gradient_checkpointing=True), made, EXAMPLES, None, out, 0)
        rows = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
        losses += [row["loss"] for row in rows if "loss" in row]
    assert max(losses[1:]) < losses[0] - 0.2
    check_changed(load(made), str(llama))
