"""The shares that examples have in the updates of training: they add up to the real change, and score as Eq. 1 says."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file  # noqa: E402
from test_gradients import adapted, collect, examples, naive  # noqa: E402

from xferbench import Checkpoint, Example, Model, PluginError, UsageError, encode, load  # noqa: E402
from xferbench_gradients import Updates  # noqa: E402
from xferbench_gradients.capture import Capture  # noqa: E402
from xferbench_gradients.sketch import Sketch  # noqa: E402
from xferbench_sft import SFT  # noqa: E402
from xferbench_sft.network import begin  # noqa: E402

LEARNT = [Example(f"e{n}", f"Is {n} odd or even?", "odd" if n % 2 else "even") for n in range(20)]
QUICK = SFT(learning_rate=1e-2, batch_size=4, rank=4, epochs=2, capture_updates=4096)


class Whole:
    """In the place of a sketch: nothing is projected, and all that is handed in is kept as it was."""

    seed, kind = 0, "whole"

    def __init__(self, dimensions):
        self.dimensions, self.seen = dimensions, []

    def together(self, sizes, rows, weight=None):
        found = rows.clone() if weight is None else rows * weight
        self.dimensions = found.shape[1]
        self.seen.append(found)
        return found


def flat(parameters):
    return torch.cat([p.detach().flatten() for p in parameters])


OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.8, 0.95), weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.5, weight_decay=0.1),
    "sgd with momentum": lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9, weight_decay=0.1),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_shares_are_what_the_formula_says_and_add_up_to_the_change(kind, tmp_path):
    """Three steps of two batches each, clipped; float32, so the sum is right to rounding."""
    model, given = adapted(), examples(12, longest=5)
    network, sketch = model.network, Whole(0)
    encoded = [encode(model.tokenizer, one) for one in given]
    capture = Capture(network, [(o.id, e.ids) for o, e in zip(given, encoded, strict=True)], tmp_path / "u", sketch)
    parameters = list(capture.blocks.values())
    optimizer = OPTIMIZERS[kind](parameters)
    start = flat(parameters)
    for step in range(3):
        rows = naive(model, given[4 * step : 4 * step + 4], parameters).float()
        capture.rows.clear()  # what the naive way showed to the network
        for p in parameters:
            p.requires_grad_(True)
        before = flat(parameters)
        for pair in (0, 2):
            some = encoded[4 * step + pair : 4 * step + pair + 2]
            longest = max(len(e.ids) for e in some)
            ids = torch.tensor([[*e.ids, *[0] * (longest - len(e.ids))] for e in some])
            mask = torch.tensor([[1] * len(e.ids) + [0] * (longest - len(e.ids)) for e in some])
            labels = torch.stack([i.where((torch.arange(longest) >= e.prompt) & (m > 0), -100)
                                  for i, m, e in zip(ids, mask, some, strict=True)])  # fmt: skip
            logits = network(input_ids=ids, attention_mask=mask).logits[:, :-1]
            losses = torch.nn.functional.cross_entropy(logits.mT, labels[:, 1:], reduction="none").sum(1)
            (losses / (labels[:, 1:] >= 0).sum(1) * torch.tensor([1.0, 3.0])).sum().backward()
        left = min(1.0, 0.1 / float(torch.nn.utils.clip_grad_norm_(parameters, 0.1)))
        optimizer.step()
        capture.on_optimizer_step(None, None, None, optimizer=optimizer)
        own, rest = sketch.seen[-2:]
        brought = rows * torch.tensor([1.0, 3.0, 1.0, 3.0])[:, None] * left
        state = optimizer.state[parameters[0]]
        if kind == "adamw":
            v = flat([optimizer.state[p]["exp_avg_sq"] for p in parameters])
            t = float(state["step"])
            right = -0.01 * 0.2 / (1 - 0.8**t) * brought / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
        else:
            right = -(0.5 if kind == "sgd" else 0.2) * brought
        assert float((own - right).norm() / right.norm()) < 1e-4
        change = flat(parameters) - before
        assert float((own.sum(0) + rest[0] - change).norm() / change.norm()) < 1e-5
        optimizer.zero_grad()
    capture.close()
    total = sum(part.sum(0) for part in sketch.seen)
    change = flat(parameters) - start
    assert float((total - change).norm() / change.norm()) < 1e-5
    assert not any(m._forward_hooks for m in network.modules())


def trained(settings, llama, out):
    out.mkdir(parents=True, exist_ok=True)
    return settings.train(Checkpoint(str(llama)), LEARNT, None, out, 0)


@pytest.fixture(scope="module")
def whole(llama, tmp_path_factory):
    """A real training by trl with everything that complicates it; its checkpoint, and the shares unprojected."""
    folder, patch, made = tmp_path_factory.mktemp("updates"), pytest.MonkeyPatch(), []

    def sketch(dimensions):
        made.append(Whole(dimensions))
        return made[-1]

    patch.setattr("xferbench_gradients.sketch.Sketch", sketch)
    try:
        settings = dataclasses.replace(
            QUICK, accumulate=2, weight_decay=0.1, dropout=0.1, gradient_checkpointing=True, rslora=True
        )
        checkpoint = trained(settings, llama, folder)
    finally:
        patch.undo()
    return settings, checkpoint, made[0]


def test_shares_in_a_real_training_add_up_to_the_real_change(whole, llama):
    """Accumulated batches, clipping, warm-up, weight decay, dropout, gradient checkpointing, rsLoRA."""
    settings, checkpoint, sketch = whole
    first = begin(settings, Checkpoint(str(llama)), 0).network
    before = {name: p for name, p in first.named_parameters() if "lora_" in name}
    after = load_file(Path(checkpoint.adapter) / "adapter_model.safetensors")
    about = json.loads((Path(checkpoint.adapter) / "updates" / "about.json").read_text())
    names = [f"base_model.model.{block}" for block in about["blocks"]]
    change = flat([after[f"{n}.weight"] for n in names]) - flat([before[f"{n}.default.weight"] for n in names])
    total = sum(part.sum(0) for part in sketch.seen)
    assert float((total - change).norm() / change.norm()) < 1e-4
    assert float(change.norm()) > 0.1
    uses = np.load(Path(checkpoint.adapter) / "updates" / "uses.npz")
    assert np.bincount(uses["example"]).tolist() == [2] * len(LEARNT)  # two epochs


@pytest.fixture(scope="module")
def plain(llama, tmp_path_factory):
    return trained(QUICK, llama, tmp_path_factory.mktemp("plain"))


def test_capturing_leaves_training_as_it_is(plain, llama, tmp_path):
    other = trained(dataclasses.replace(QUICK, capture_updates=0), llama, tmp_path)
    files = [Path(one.adapter) / "adapter_model.safetensors" for one in (plain, other)]
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1
    assert not (Path(other.adapter) / "updates").exists()


@pytest.mark.parametrize("share", ["own", "whole"])
def test_the_score_is_the_sum_of_cosines(share, plain, llama, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("xferbench_gradients.sketch.Sketch", lambda k: made.append(Whole(k)) or made[-1])
    again = trained(QUICK, llama, tmp_path)
    monkeypatch.undo()
    uses = np.load(Path(again.adapter) / "updates" / "uses.npz")
    model = load(plain)
    groups = [LEARNT[:3], LEARNT[5:6]]
    parameters = collect(model, LEARNT[:1])[1]
    aims = torch.stack([naive(model, group, parameters).mean(0) for group in groups])
    right = np.zeros((len(LEARNT), 2))
    for step, (own, rest) in enumerate(zip(made[0].seen[::2], made[0].seen[1::2], strict=True)):
        rows = (own + rest / len(own) if share == "whole" else own).double()
        cosines = torch.cosine_similarity(rows[:, None], aims[None], dim=2).numpy()
        np.add.at(right, uses["example"][uses["step"] == step], -cosines)
    found = Updates(share=share).score(model, LEARNT, groups)
    assert np.abs(found - right).max() < 2 * 4 / 4096**0.5  # two epochs, four standard errors each
    assert np.corrcoef(found[:, 0], right[:, 0])[0, 1] > 0.98
    if share == "own":
        # Examples that were trained on, each asked about itself: on the whole their updates helped.
        assert np.mean([Updates().score(model, [one], [[one]])[0, 0] for one in LEARNT]) > 0


def test_what_was_not_trained_on_scores_nan_and_is_named(plain):
    stranger = Example("stranger", "Is 77 odd or even?", "odd")
    with pytest.warns(UserWarning, match="1 examples brought no update, score nan: stranger"):
        found = Updates().score(load(plain), [LEARNT[0], stranger], [LEARNT[:2]])
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[1, 0])


def test_updates_says_what_it_lacks(plain, llama, tmp_path):
    with pytest.raises(UsageError, match=r"train it with sft:capture_updates=4096"):
        Updates().score(load(Checkpoint(str(llama))), LEARNT, [LEARNT])
    with pytest.raises(UsageError, match="known: own, whole"):
        Updates(share="all").score(load(plain), LEARNT, [LEARNT])
    file = Path(plain.adapter) / "updates" / "shares.f16"
    kept = file.read_bytes()
    file.write_bytes(kept[:-2])
    with pytest.raises(UsageError, match="train again"):
        Updates().score(load(plain), LEARNT, [LEARNT])
    file.write_bytes(kept)
    with pytest.raises(UsageError, match="with lora=false it must be 0"):
        SFT(lora=False, capture_updates=16)
    model = adapted()
    capture = Capture(model.network, [("a", (1, 2))], tmp_path / "u", Sketch(8))
    with pytest.raises(PluginError, match="none of the examples"):
        model.network(input_ids=torch.tensor([[3, 4]]))
    capture.close()
    with pytest.raises(UsageError, match="LoRA adapters only"):
        Capture(load(Checkpoint(str(llama))).network, [], tmp_path / "v", Sketch(8))


def test_a_gradient_that_is_not_the_sum_of_the_shares_is_an_error(tmp_path):
    model = adapted()
    capture = Capture(model.network, [("a", (1, 2, 3))], tmp_path / "u", Sketch(8))
    parameters = list(capture.blocks.values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    model.network(input_ids=torch.tensor([[1, 2, 3]])).logits.logsumexp(-1).sum().backward()
    for p in parameters:
        p.grad += torch.randn_like(p)
    optimizer.step()
    with pytest.raises(PluginError, match="not the sum of what its examples brought"):
        capture.on_optimizer_step(None, None, None, optimizer=optimizer)
    capture.close()


def test_model_is_unchanged_by_scoring(plain):
    model = load(plain)
    before = {n: p.clone() for n, p in model.network.state_dict().items()}
    Updates().score(Model(model.network, model.tokenizer, plain), LEARNT, [LEARNT])
    assert all(torch.equal(p, before[n]) for n, p in model.network.state_dict().items())
