"""Projections: unbiased with the variance of the formula, linear, the same for every batch and on every machine."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from test_gradients import adapted, examples  # noqa: E402

from xferbench import UsageError  # noqa: E402
from xferbench_gradients.engine import Engine  # noqa: E402
from xferbench_gradients.factored import Factored  # noqa: E402
from xferbench_gradients.sinks import Sketched  # noqa: E402
from xferbench_gradients.sketch import Sketch, hashed  # noqa: E402


def made(kind, size, seed):
    return Factored(size, {"block": (20, 15)}, seed) if kind == "factored" else Sketch(size, seed, kind)


@pytest.mark.parametrize("kind", ["count", "sparse", "dense", "factored"])
def test_sketches_are_unbiased_with_the_variance_of_the_formula(kind):
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 300, generator=draw, dtype=torch.float64)
    rows[:, :20] *= 4
    rows[6:] += rows[:6]
    size, seeds = 36, 300
    found = [made(kind, size, seed).apply("block", rows) for seed in range(seeds)]
    products, right = torch.stack([one @ one.T for one in found]), rows @ rows.T
    error = products.mean(0) - right
    # All pairs and squares: their mean within 3 standard errors, each of them within 5.
    each = products.std(0) / seeds**0.5
    assert float((error / each).abs().max()) < 5
    whole = products.sum((1, 2))
    assert abs(float(whole.mean() - right.sum())) < 3 * float(whole.std()) / seeds**0.5
    lengths = rows.square().sum(1)
    theory = lengths[:, None] * lengths + right**2 - 2 * rows**2 @ (rows**2).T
    pairs = torch.triu(torch.ones_like(theory), 1).bool()
    ratio = float(products.var(0)[pairs].sum() / (theory[pairs] / size).sum())
    if kind == "factored":
        assert ratio > 1.3
    else:
        assert ratio == pytest.approx(1, abs=0.1)


def test_a_factored_map_is_the_kronecker_product_of_two():
    rows = torch.randn(3, 12, dtype=torch.float64)
    found = Factored(10, {"a": (3, 4), "b": (2, 5)}).apply("a", rows)
    assert found.shape == (3, 8)
    assert not found[:, 4:].any()
    unit = Factored(10, {"a": (3, 4), "b": (2, 5)}).apply("a", torch.eye(12, dtype=torch.float64))[:, :4]
    assert torch.allclose(found[:, :4], rows @ unit)
    assert torch.equal(unit.abs(), torch.full_like(unit, 0.5))
    assert torch.linalg.matrix_rank(unit.T.reshape(2, 2, 3, 4).permute(0, 2, 1, 3).reshape(6, 8)) == 1
    with pytest.raises(UsageError, match="2 blocks needs 2 dimensions"):
        Factored(1, {"a": (3, 4), "b": (2, 5)})


@pytest.mark.parametrize("kind", ["count", "sparse", "dense"])
def test_sketches_are_linear_and_the_same_for_every_batch(kind):
    rows = torch.randn(7, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = Sketch(70, 3, kind).apply("block", rows)
    parts = torch.cat([Sketch(70, 3, kind).apply("block", part) for part in rows.split(2)])
    assert torch.allclose(whole, parts, rtol=0, atol=1e-12)
    assert torch.allclose(Sketch(70, 3, kind).apply("block", rows.sum(0)[None])[0], whole.sum(0), rtol=0, atol=1e-9)
    assert not torch.allclose(whole, Sketch(70, 4, kind).apply("block", rows))
    assert not torch.allclose(whole, Sketch(70, 3, kind).apply("another", rows))


def test_the_hash_is_the_published_one():
    # The first numbers of SplitMix64 from seed 0, without their two lowest bits.
    right = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert hashed(torch.arange(3), 0).tolist() == [value >> 2 for value in right]


def test_sketches_of_gradients_do_not_depend_on_batches():
    model, given = adapted(), examples(8)
    found = []
    for tokens in (30, 1000):
        with Engine(model, tokens=tokens) as engine:
            sink = Sketched(Sketch(64, 1), len(given), engine.device)
            engine.run(engine.plan(given), sink)
            found.append(sink.out)
    assert torch.allclose(*found, rtol=1e-4, atol=1e-5)
