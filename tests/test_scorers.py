"""The scorers against their formulas, worked out apart in float64; the baselines against cases done by hand."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from test_gradients import adapted, bare, collect, examples, naive, tokenizer  # noqa: E402

import xferbench_baselines  # noqa: E402
import xferbench_gradients  # noqa: E402
from xferbench import Checkpoint, DataError, Example, Model, UsageError, encode  # noqa: E402
from xferbench_baselines import BM25, Embedding, Length, LossReduction, Random, Vocabulary  # noqa: E402
from xferbench_gradients import Cosine, Dot, Less, TracIn, Trak  # noqa: E402
from xferbench_gradients.engine import Engine  # noqa: E402
from xferbench_gradients.sketch import Sketch  # noqa: E402

GROUPS = [examples(3, 1), examples(5, 2), examples(1, 3)]


@pytest.fixture(scope="module")
def model():
    return adapted()


@pytest.fixture(scope="module")
def gradients(model):
    """Autograd's gradients, float64: of ten examples, and the mean of each group."""
    parameters = collect(model, examples(1))[1]
    means = [naive(model, group, parameters).mean(0) for group in GROUPS]
    return naive(model, examples(10), parameters).numpy(), torch.stack(means).numpy()


def close(found, right, tolerance=1e-5):
    assert found.shape == right.shape
    assert found.dtype == np.float64
    assert np.abs(found - right).max() < tolerance * np.abs(right).max()


def test_cosine_dot_and_tracin_are_what_they_are_by_definition(model, gradients):
    rows, means = gradients
    dots = rows @ means.T
    close(Dot().score(model, examples(10), GROUPS), dots)
    close(TracIn().score(model, examples(10), GROUPS), dots)
    norms = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(means, axis=1)
    for tokens in (0, 1, 70):
        close(Cosine(batch_tokens=tokens).score(model, examples(10), GROUPS), dots / norms)


def test_cosine_of_whole_domains(model, gradients):
    rows, means = gradients
    given = [Example(e.id, e.prompt, e.answer, domain="xyz"[i % 3]) for i, e in enumerate(examples(10))]
    sums = np.array([rows[i % 3 :: 3].mean(0) for i in range(10)])
    right = sums @ means.T / np.linalg.norm(sums, axis=1)[:, None] / np.linalg.norm(means, axis=1)
    close(Cosine(level="domain").score(model, given, GROUPS), right)
    with pytest.raises(UsageError, match="known: example, domain"):
        Cosine(level="all").score(model, given, GROUPS)


def test_a_step_on_an_example_with_a_positive_score_lowers_the_loss_of_the_group(model):
    given, group = examples(6), GROUPS[1]
    scores = Dot().score(model, given, [group])[:, 0]

    def loss():
        with Engine(model) as engine:
            from xferbench_gradients.sinks import Exact

            return float(engine.run(engine.plan(group), Exact(len(group))).loss.mean())

    before = loss()
    found, parameters, _ = collect(model, given)
    for score, row in zip(scores, found, strict=True):
        kept = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p, step in zip(parameters, row.float().split([p.numel() for p in parameters]), strict=True):
                p -= 1e-3 * step.view_as(p)
        assert before - loss() == pytest.approx(1e-3 * score, rel=0.05, abs=1e-6)
        with torch.no_grad():
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)


def test_without_an_adapter_full_layers_are_compared():
    full = Model(bare(), tokenizer(), Checkpoint("tiny"))
    rows, parameters, _ = collect(full, examples(5), layers="v_proj+layers.0.mlp")
    aim = naive(full, GROUPS[0], parameters).mean(0)
    right = torch.cosine_similarity(rows, aim[None]).numpy()[:, None]
    close(Cosine(layers="v_proj,layers.0.mlp").score(full, examples(5), GROUPS[:1]), right)


def saved(folder, model, named):
    """Train the model's adapter with AdamW for three steps and save the optimizer; return it."""
    from copy import deepcopy

    model = Model(deepcopy(model.network), model.tokenizer, Checkpoint("tiny", str(folder)))
    trained = {name: p for name, p in model.network.named_parameters() if "lora_" in name}
    for p in trained.values():
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained.items() if named else trained.values(), lr=1e-3, betas=(0.8, 0.95), eps=1e-6)
    for example in examples(3, 7):
        ids = torch.tensor([encode(model.tokenizer, example).ids])
        model.network(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    return model, optimizer


@pytest.mark.parametrize("named", [False, True], ids=["by order", "by name"])
@pytest.mark.parametrize("form", ["paper", "own"])
def test_less_equals_the_formula(tmp_path, model, form, named):
    model, optimizer = saved(tmp_path, model, named)
    parameters = collect(model, examples(1))[1]
    rows = naive(model, examples(10), parameters).numpy()
    groups = [[Example(e.id, e.prompt, e.answer, domain="ab"[i % 2]) for i, e in enumerate(GROUPS[1])], GROUPS[0]]
    m = torch.cat([optimizer.state[p]["exp_avg"].flatten() for p in parameters]).double().numpy()
    v = torch.cat([optimizer.state[p]["exp_avg_sq"].flatten() for p in parameters]).double().numpy()
    first = ((0.8 * m if form == "paper" else 0) + 0.2 * rows) / (1 - 0.8**4)
    steps = first / (np.sqrt((0.95 * v + 0.05 * rows**2) / (1 - 0.95**4)) + 1e-6)
    right = np.empty((10, 2))
    for column, subtasks in enumerate([[groups[0][::2], groups[0][1::2]], [groups[1]]]):
        aims = [naive(model, part, parameters).mean(0).numpy() for part in subtasks]
        cosines = [steps @ aim / np.linalg.norm(steps, axis=1) / np.linalg.norm(aim) for aim in aims]
        right[:, column] = np.max(cosines, axis=0)
    close(Less(form=form).score(model, examples(10), groups), right)
    sketched = Less(form=form, dimensions=8192).score(model, examples(10), groups)
    assert np.abs(sketched - right).max() < 5 / 8192**0.5
    factored = Less(form=form, dimensions=8192, projection="factored").score(model, examples(10), groups)
    assert np.abs(factored - right).max() < 15 / 8192**0.5


def test_less_says_what_it_lacks(tmp_path, model):
    with pytest.raises(UsageError, match="no adapter"):
        Less().score(model, examples(2), GROUPS)
    there = Model(model.network, model.tokenizer, Checkpoint("tiny", str(tmp_path)))
    with pytest.raises(UsageError, match=r"has no optimizer\.pt"):
        Less().score(there, examples(2), GROUPS)
    (tmp_path / "optimizer.pt").write_bytes(b"no")
    with pytest.raises(UsageError, match="not the state of a torch optimizer"):
        Less().score(there, examples(2), GROUPS)
    sgd = torch.optim.SGD([p for n, p in model.network.named_parameters() if "lora_" in n])
    torch.save(sgd.state_dict(), tmp_path / "optimizer.pt")
    with pytest.raises(UsageError, match="no state of Adam"):
        Less().score(there, examples(2), GROUPS)
    torch.save(torch.optim.Adam([torch.zeros(1)]).state_dict(), tmp_path / "optimizer.pt")
    with pytest.raises(UsageError, match="holds 1 parameters, the adapter has"):
        Less().score(there, examples(2), GROUPS)
    with pytest.raises(UsageError, match="known: paper, own"):
        Less(form="best").score(there, examples(2), GROUPS)


def margins(model, given, parameters):
    """Return float64 gradients of the sum of log(p / (1 - p)), and the mean p of each example."""
    rows, probability = [], []
    for p in parameters:
        p.requires_grad_(True)
    for example in given:
        encoded = encode(model.tokenizer, example)
        logits = model.network(input_ids=torch.tensor([encoded.ids])).logits[0, encoded.prompt - 1 : -1]
        p = torch.softmax(logits.double(), -1).gather(1, torch.tensor(encoded.ids[encoded.prompt :])[:, None])
        found = torch.autograd.grad((p.log() - (1 - p).log()).sum(), parameters)
        rows.append(torch.cat([g.flatten() for g in found]).double())
        probability.append(float(p.detach().mean()))
    return torch.stack(rows), np.array(probability)


@pytest.mark.parametrize("dimensions", [6, 40], ids=["fewer than examples", "more than examples"])
def test_trak_equals_the_formula(model, dimensions):
    with Engine(model) as engine:
        blocks = engine.blocks
    parameters, sizes = list(blocks.values()), [p.numel() for p in blocks.values()]
    rows, probability = margins(model, examples(12), parameters)
    aims = torch.stack([margins(model, group, parameters)[0].mean(0) for group in GROUPS])
    sketch = Sketch(dimensions, 5)

    def project(values):
        parts = zip(blocks, values.split(sizes, dim=1), strict=True)
        return sum(sketch.apply(block, part) for block, part in parts).numpy()

    phi, aim = project(rows), project(aims)
    kernel = phi.T @ phi
    kernel += 0.1 * np.trace(kernel) / dimensions * np.eye(dimensions)
    right = (phi @ np.linalg.inv(kernel) @ aim.T) * (1 - probability)[:, None]
    found = Trak(dimensions=dimensions, damping=0.1, seed=5).score(model, examples(12), GROUPS)
    close(found, right, 1e-4)
    with pytest.raises(UsageError, match="scorer trak has no projection 'fast'"):
        Trak(projection="fast").score(model, examples(2), GROUPS)
    with pytest.raises(UsageError, match="damping"):
        Trak(damping=0).score(model, examples(2), GROUPS)


@pytest.fixture(scope="module")
def poisoned():
    """A network that gives no number for the word "three"."""
    model = adapted()
    token = model.tokenizer(" three")["input_ids"][-1]
    with torch.no_grad():
        model.network.get_input_embeddings().weight[token] = torch.nan
    return model


def clean(n, seed):
    return [e for e in examples(4 * n, seed) if "three" not in e.prompt + e.answer][:n]


@pytest.mark.parametrize("scorer", [Cosine(), Dot(), Trak(dimensions=32)], ids=lambda s: s.name)
def test_a_broken_example_is_named_scores_nan_and_harms_no_other(poisoned, scorer):
    fine = clean(6, 1)
    broken = Example("bad", "two plus three", "three is three plus one")
    groups = [clean(3, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        right = scorer.score(poisoned, fine, groups)
    with pytest.warns(UserWarning, match="1 examples have no finite.*bad"):
        found = scorer.score(poisoned, [*fine[:3], broken, *fine[3:]], groups)
    assert np.isnan(found[3]).all()
    assert np.allclose(np.delete(found, 3, 0), right, rtol=1e-4, atol=1e-6)
    with pytest.warns(UserWarning, match="1 queries have no finite.*left out.*bad"):
        found = scorer.score(poisoned, fine, [[*groups[0], broken]])
    assert np.allclose(found, right, rtol=1e-4, atol=1e-6)
    with pytest.raises(DataError, match="none with a finite gradient"):
        scorer.score(poisoned, fine, [[broken]])


def test_an_empty_group_is_refused(model):
    with pytest.raises(DataError, match="group 1 of the queries"):
        Cosine().score(model, examples(2), [GROUPS[0], []])


def test_listing_the_scorers_imports_neither_torch_nor_numpy():
    code = "import xferbench_gradients as g, xferbench_baselines as b; [*g.provide_scorers(), *b.provide_scorers()]"
    code += "; assert not {'torch', 'numpy', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"], check=True)


def test_every_scorer_is_a_frozen_dataclass_with_a_name_and_defaults():
    from dataclasses import FrozenInstanceError, fields

    found = [*xferbench_gradients.provide_scorers(), *xferbench_baselines.provide_scorers()]
    names = [scorer.name for scorer in found]
    assert names[:7] == ["cosine", "dot", "tracin", "less", "trak", "updates", "sketch"]
    assert names[7:12] == ["random", "vocabulary", "bm25", "length", "embedding"]
    assert names[12:] == ["style", "structure", "loss_reduction"]
    for scorer in found:
        for field in fields(scorer)[:1]:
            with pytest.raises(FrozenInstanceError):
                setattr(scorer(), field.name, 1)


TEXTS = [Example("a", "The cat", "sat on the mat"), Example("b", "one plus one", "is two"), Example("c", "", "")]
ASKED = [[Example("q", "a cat", "The cat sat")], [Example("r", "one", "two"), Example("s", "mat", "plus")]]


def test_vocabulary_by_hand():
    found = Vocabulary().score(None, TEXTS, ASKED)
    assert found.tolist() == [[3 / 6, 1 / 8], [0, 3 / 5], [0, 0]]
    found = Vocabulary("js").score(None, TEXTS, ASKED)
    from scipy.spatial.distance import jensenshannon

    own = np.array([2, 1, 1, 1, 1, 0]) / 6  # the cat sat on mat a
    asked = np.array([1, 2, 1, 0, 0, 1]) / 5
    assert found[0, 0] == pytest.approx(1 - jensenshannon(own, asked, base=2) ** 2)
    assert Vocabulary("js").score(None, TEXTS[:1], [TEXTS[:1]])[0, 0] == pytest.approx(1)
    assert found[1, 0] == found[2, 0] == 0
    with pytest.raises(UsageError, match="known: jaccard, js"):
        Vocabulary("words").score(None, TEXTS, ASKED)


def test_bm25_by_hand():
    found = BM25().score(None, TEXTS, ASKED)
    rare = np.log(1 + (3 - 1 + 0.5) / 1.5)  # every word is in one of the three texts

    def gain(f, size):
        return rare * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * size / (11 / 3)))

    assert found[0, 0] == pytest.approx(gain(2, 6) + 3 * gain(1, 6))  # the; cat, cat, sat
    assert found[1, 1] == pytest.approx((gain(2, 5) + 2 * gain(1, 5)) / 2)
    assert found[1, 0] == found[2, 0] == 0


def test_length_and_random():
    assert Length().score(None, TEXTS, ASKED).tolist() == [[4, 4], [2, 2], [0, 0]]
    assert Length("all").score(None, TEXTS, ASKED)[:, 0].tolist() == [6, 5, 0]
    with pytest.raises(UsageError, match="known: answer, all"):
        Length("prompt").score(None, TEXTS, ASKED)
    found = Random().score(None, TEXTS, ASKED)
    assert (Random().score(None, TEXTS[::-1], ASKED)[::-1] == found).all()
    assert (Random(1).score(None, TEXTS, ASKED) != found).all()
    many = Random().score(None, examples(2000), ASKED)
    assert abs(many.mean()) < 0.1
    assert abs(many.std() - 1) < 0.1


def hidden(model, example):
    """The mean of the last hidden states over all tokens of one example, alone."""
    ids = torch.tensor([encode(model.tokenizer, example, model.context).ids])
    with torch.no_grad():
        out = model.network(input_ids=ids, output_hidden_states=True).hidden_states[-1][0].double().mean(0)
    return out / out.norm()


def test_embedding_by_default_is_the_mean_hidden_state_of_the_network_itself(model):
    given = examples(20)  # more than one batch
    rows = torch.stack([hidden(model, one) for one in given])
    aims = torch.stack([torch.stack([hidden(model, one) for one in group]).mean(0) for group in GROUPS])
    right = (rows @ (aims / aims.norm(dim=1, keepdim=True)).T).numpy()
    close(Embedding().score(model, given, GROUPS), right)


def test_embedding_by_a_local_encoder(tmp_path):
    from transformers import BertConfig, BertModel

    with pytest.raises(UsageError, match="holds no encoder"):
        Embedding(encoder=str(tmp_path)).score(None, TEXTS, ASKED)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = BertModel(BertConfig(vocab_size=len(tokenizer()), max_position_embeddings=64, **small)).eval()
    encoder.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)

    def embed(example):
        ids = tokenizer()(f"{example.prompt} {example.answer}", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            out = encoder(input_ids=ids)[0][0].double().mean(0)
        return out / out.norm()

    right = torch.stack([embed(one) for one in TEXTS[:2]]) @ embed(ASKED[0][0])
    found = Embedding(encoder=str(tmp_path)).score(None, TEXTS[:2], ASKED[:1])
    close(found, right.numpy()[:, None])


def test_loss_reduction_is_the_loss_without_the_adapter_minus_the_loss_with_it(model):
    def loss(example):
        encoded = encode(model.tokenizer, example)
        ids = torch.tensor([encoded.ids])
        labels = ids.clone()
        labels[:, : encoded.prompt] = -100
        with torch.no_grad():
            after = float(model.network(input_ids=ids, labels=labels).loss)
            with model.network.disable_adapter():
                return float(model.network(input_ids=ids, labels=labels).loss) - after

    given = examples(5)
    right = np.array([np.mean([loss(one) for one in group]) for group in GROUPS])
    close(LossReduction().score(model, given, GROUPS), np.repeat(right[None], 5, axis=0), 1e-4)
    right = np.array([loss(one) for one in given])
    close(LossReduction("example").score(model, given, GROUPS), np.repeat(right[:, None], 3, axis=1), 1e-4)
    with pytest.raises(UsageError, match="known: target, example"):
        LossReduction("all").score(model, given, GROUPS)
    with pytest.raises(UsageError, match="checkpoint has none"):
        LossReduction().score(Model(bare(), tokenizer(), Checkpoint("tiny")), given, GROUPS)
