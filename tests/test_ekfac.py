"""The bridge to kronfluence against EK-FAC worked out apart in float64 from autograd's gradients."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kronfluence")

from test_gradients import adapted, bare, examples, tokenizer  # noqa: E402

from xferbench import Checkpoint, Model, UsageError, encode  # noqa: E402
from xferbench_kronfluence import EKFAC  # noqa: E402

GROUPS = [examples(3, 1), examples(4, 2)]
LEARNT = examples(8)


def test_without_kronfluence_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kronfluence", None)
    monkeypatch.setitem(sys.modules, "kronfluence.analyzer", None)
    with pytest.raises(UsageError, match=r"pip install 'xferbench\[kronfluence\]'"):
        EKFAC().score(None, LEARNT, GROUPS)


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("kronfluence")
    return adapted(targets=["q_proj", "down_proj"])


def recorded(model, given):
    """Return for each LoRA matrix its inputs and output gradients, one (tokens, width) pair an example, float64."""
    found = {}
    for name, module in model.network.named_modules():
        if (".lora_A." in name or ".lora_B." in name) and type(module) is torch.nn.Linear:
            found[name] = (module, [], [])
    undo = []
    for module, inputs, gradients in found.values():

        def hook(module, args, output, inputs=inputs, gradients=gradients):
            inputs.append(args[0].detach()[0].double())
            output.register_hook(lambda g: gradients.append(g[0].double()))

        module.requires_grad_(True)
        undo.append(module.register_forward_hook(hook))
    for one in given:
        encoded = encode(model.tokenizer, one)
        ids = torch.tensor([encoded.ids])
        labels = ids.clone()
        labels[:, : encoded.prompt] = -100
        model.network(input_ids=ids, labels=labels).loss.backward()
    for handle in undo:
        handle.remove()
    model.network.zero_grad()
    return {name: (inputs, gradients) for name, (_, inputs, gradients) in found.items()}


def test_scores_equal_ekfac_worked_out_apart(model):
    train, asked = recorded(model, LEARNT), [recorded(model, group) for group in GROUPS]
    right = np.zeros((len(LEARNT), len(GROUPS)))
    for name, (inputs, gradients) in train.items():
        a, s = torch.cat(inputs), torch.cat(gradients)
        left, side = torch.linalg.eigh(s.T @ s)[1], torch.linalg.eigh(a.T @ a)[1]

        def turned(inputs, gradients, left=left, side=side):
            return torch.stack([left.T @ (d.T @ x) @ side for x, d in zip(inputs, gradients, strict=True)])

        rows = turned(inputs, gradients)
        eigenvalues = rows.square().mean(0)
        for column, group in enumerate(asked):
            aim = turned(*group[name]).mean(0) / (eigenvalues + 0.1 * eigenvalues.mean())
            right[:, column] += (rows * aim).sum((1, 2)).numpy()
    found = EKFAC(fisher="empirical", batch_size=3).score(model, LEARNT, GROUPS)
    assert np.abs(found - right).max() < 1e-3 * np.abs(right).max()
    assert not any(type(m).__name__ == "TrackedLinear" for m in model.network.modules())


def test_drawn_labels_come_from_the_seed(model):
    one, again, other = (EKFAC(seed=seed).score(model, LEARNT, GROUPS[:1]) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.corrcoef(one[:, 0], other[:, 0])[0, 1] > 0.7


def test_what_it_cannot_do_is_said(model):
    with pytest.raises(UsageError, match="known: true, empirical"):
        EKFAC(fisher="false").score(model, LEARNT, GROUPS)
    full = Model(bare(), tokenizer(), Checkpoint("tiny"))
    with pytest.raises(UsageError, match=r"LoRA on linear layers; kinds of layer found: .*LlamaAttention"):
        EKFAC().score(full, LEARNT, GROUPS)
