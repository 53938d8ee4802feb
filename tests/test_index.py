"""The index: what it holds is what the scorer says, what is damaged is redone, what is foreign refused."""

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from test_gradients import adapted, collect, examples, naive  # noqa: E402

from xferbench import Example, UsageError, catalog, index  # noqa: E402
from xferbench.analyse import spread  # noqa: E402
from xferbench.index import Index, fill, read  # noqa: E402
from xferbench_gradients.kept import SketchedCosine  # noqa: E402
from xferbench_gradients.sketch import Sketch  # noqa: E402

GIVEN = [Example(f"e{i}", "p", "a", source=f"s{i % 2}") for i in range(50)]
ROWS = np.random.default_rng(0).normal(size=(50, 32)).astype("float32") * np.logspace(-8, 8, 50)[:, None]
ROWS[7] = np.nan
ROWS[8] = 0
AIMS = np.random.default_rng(1).normal(size=(3, 32)).astype("float32")
ABOUT = {"model": "m1", "scorer.seed": 0, "dimensions": 32, "dtype": "float32", "version": "1"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of ten examples in float32, of twenty in half precision."""
    monkeypatch.setattr(index, "SHARD", 10 * 32 * 4)


def rows_of(some):
    return ROWS[[int(one.id[1:]) for one in some]]


def made(folder, rows=rows_of, draw=lambda: GIVEN, **about):
    """Take up or make an index; return it and what became of each shard."""
    found = Index(folder, ABOUT | about)
    found.begin("data", len(GIVEN))
    return found, [fate for _, fate in fill(found, draw, rows)]


def scores(found):
    parts = [found.scores(number, AIMS) for number in found.shards()]
    return [np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1)]


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("float16", 5e-4), ("bfloat16", 4e-3)])
def test_scores_are_cosines_and_inner_products_in_every_precision(tmp_path, dtype, error):
    found, fates = made(tmp_path, dtype=dtype)
    assert fates == ["made"] * (5 if dtype == "float32" else 3)
    cosines, dots = scores(found)
    fine = np.delete(np.arange(50), [7, 8])
    exact = ROWS[fine].astype(float) @ AIMS.T
    lengths = np.linalg.norm(ROWS[fine].astype(float), axis=1)[:, None] * np.linalg.norm(AIMS, axis=1)
    assert np.abs(cosines[fine] - exact / lengths).max() < error
    assert np.abs((dots[fine] - exact) / lengths).max() < error  # gradients from 1e-8 to 1e8: none is lost
    assert np.isnan(cosines[[7, 8]]).all()
    assert np.isnan(dots[[7, 8]]).all()
    assert found.names(1)[3] == (["e13", "s1"] if dtype == "float32" else ["e23", "s1"])


def test_what_is_there_is_not_made_again_and_the_source_not_looked_at(tmp_path):
    made(tmp_path)
    untouched = made(tmp_path, draw=lambda: pytest.fail("the source was drawn"), rows=None)
    assert untouched[1] == ["kept"] * 5


def test_an_interrupted_index_goes_on_where_it_stopped(tmp_path):
    def stops(some):
        if some[0].id == "e20":
            raise KeyboardInterrupt
        return rows_of(some)

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, rows=stops)
    found, fates = made(tmp_path)
    assert fates == ["kept", "kept", "made", "made", "made"]
    assert np.array_equal(scores(found)[0], scores(made(tmp_path / "whole")[0])[0], equal_nan=True)
    assert not list(tmp_path.glob("*.part"))


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a bit flipped": lambda path: flip(path),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "checksum torn": lambda path: path.with_suffix(".json").write_text('{"sha'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_seen_and_it_alone_redone(tmp_path, damage):
    before = scores(made(tmp_path)[0])
    others = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors") if p.name[:5] != "00003"}
    DAMAGE[damage](tmp_path / "00003.safetensors")
    asked = []

    def counted(some):
        asked.extend(one.id for one in some)
        return rows_of(some)

    found, fates = made(tmp_path, rows=counted)
    assert fates == ["kept", "kept", "kept", "redone", "kept"]
    assert asked == [f"e{i}" for i in range(30, 40)]
    assert others == {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors") if p.name[:5] != "00003"}
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, scores(found), strict=True))


@pytest.mark.parametrize(
    ("key", "value"), [("model", "m2"), ("scorer.seed", 1), ("dtype", "float16"), ("version", "2"), ("dimensions", 64)]
)
def test_an_index_of_something_else_is_refused_and_says_which_field(tmp_path, key, value):
    made(tmp_path)
    with pytest.raises(UsageError, match=f"{re.escape(key)} is {json.dumps(ABOUT[key])}, not {json.dumps(value)}"):
        made(tmp_path, **{key: value})
    with pytest.raises(UsageError, match=r"model is .*; scorer.seed is 0, not 3"):
        Index(tmp_path, ABOUT | {"model": "m2", "scorer.seed": 3})
    with pytest.raises(UsageError, match='data is "data", not "other data"'):
        Index(tmp_path, ABOUT).begin("other data", 50)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(UsageError, match="delete the folder"):
        read(tmp_path)


def test_memory_is_that_of_a_shard(tmp_path, monkeypatch):
    """100 MB of rows looked through while the process grows by less than a quarter of that."""
    monkeypatch.setattr(index, "SHARD", 2**22)
    found = Index(tmp_path, ABOUT | {"dimensions": 256, "dtype": "float16"})
    found.begin("data", 200_000)
    rows = torch.randn(found.size, 256)
    for number, _ in fill(found, lambda: GIVEN * 4000, lambda some: rows[: len(some)]):
        assert number >= 0
    aims = torch.randn(2, 256)
    try:
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
    except OSError:
        pytest.skip("the peak of memory cannot be measured here")

    def memory(what):
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))

    before = memory("VmRSS")
    total = sum(float(found.scores(n, aims)[0].sum()) for n in found.shards() if found.whole(n))
    assert np.isfinite(total)
    assert sum(p.stat().st_size for p in tmp_path.glob("*.safetensors")) > 100e6
    assert memory("VmHWM") - before < 25


def test_the_kept_scorer_is_the_sketch_of_autograds_gradients():
    model, given, groups = adapted(), examples(10), [examples(3, 1), examples(5, 2)]
    parameters, engine = collect(model, given)[1:]
    right = naive(model, given, parameters)
    means = torch.stack([naive(model, group, parameters).mean(0) for group in groups])
    sketch = Sketch(256, 3, "sparse")
    sizes = [p.numel() for p in parameters]
    parts = [
        sum(sketch.apply(block, part) for block, part in zip(engine.blocks, x.split(sizes, 1), strict=True))
        for x in (right, means)
    ]
    scorer = SketchedCosine(256, "sparse", 3)
    assert torch.allclose(scorer.features(model, given).double(), parts[0], rtol=1e-4, atol=1e-6)
    unit = [x / x.norm(dim=1, keepdim=True) for x in parts]
    assert np.abs(scorer.score(model, given, groups) - (unit[0] @ unit[1].T).numpy()).max() < 1e-5


@pytest.fixture
def attribute(world, inside, monkeypatch, capsys, tmp_path):
    """Run `xferbench attribute --json` in this process, on the tiny world with the gradient scorers."""
    from xferbench.lookup import attribute_command

    monkeypatch.setenv("XFERBENCH_PLUGINS", world.env["XFERBENCH_PLUGINS"] + ",gradients")
    monkeypatch.setattr(index, "SHARD", 8 * 4096 * 2)
    catalog.loaded.cache_clear()

    def run(target="quick", folder=tmp_path / "kept", dtype=None, top=4, plot=None, **flags):
        names = {"suite": "tiny", "source": "letters", "target": target, "train_limit": 20} | flags
        attribute_command(names, folder, dtype, top, True, plot)
        printed = capsys.readouterr()
        return json.loads(printed.out) | {"stderr": printed.err}

    return run


def test_a_new_target_is_ranked_from_the_index_alone(attribute, inside, tmp_path, monkeypatch, world):
    first = attribute(plot=tmp_path / "a.png")
    assert first["index"][0]["made"] == 3
    assert (tmp_path / "a.png").stat().st_size > 10_000
    best = first["targets"][0]["top"]
    assert [row["rank"] for row in best] == [1, 2, 3, 4]
    assert first["targets"][0]["queries"] == 8
    assert best == sorted(best, key=lambda row: -row["cosine"])

    from xferbench import load, lookup
    from xferbench.api import Checkpoint
    from xferbench.draw import draw

    given = draw(inside.entry("domain", "tiny/letters").value, 20)
    quick = inside.entry("target", "tiny/quick").value
    right = SketchedCosine().score(load(Checkpoint(str(world.model))), given, [quick.queries(64)])[:, 0]
    at = {one.id: score for one, score in zip(given, right, strict=True)}
    assert all(abs(row["cosine"] - at[row["id"]]) < 1e-3 for row in best)
    assert abs(best[0]["cosine"] - right.max()) < 1e-3

    monkeypatch.setattr(lookup, "draw", lambda *args: pytest.fail("the source was drawn"))
    again = attribute("quiz,quick")
    assert again["index"][0]["kept"] == 3
    assert [row["id"] for row in again["targets"][1]["top"]] == [row["id"] for row in best]
    assert [row["cosine"] for row in again["targets"][1]["top"]] == pytest.approx([row["cosine"] for row in best])
    assert {row["source"] for row in best} == {"letters"}


def test_what_attribute_refuses(attribute, tmp_path):
    attribute(scorer="sketch:dimensions=64")
    assert attribute()["index"][0]["dimensions"] == 64  # what is not said is as the index has it
    with pytest.raises(UsageError, match=r"scorer.seed is 0, not 1"):
        attribute(scorer="sketch:dimensions=64,seed=1")
    with pytest.raises(UsageError, match=r'dtype is "float16", not "float32"'):
        attribute(dtype="float32")
    with pytest.raises(UsageError, match="limit is 20, not 10"):
        attribute(train_limit=10)
    with pytest.raises(UsageError, match="unknown dtype 'float8'"):
        attribute(dtype="float8")
    with pytest.raises(UsageError, match=r"cosine keeps no rows in an index.*sketch"):
        attribute(scorer="cosine", folder=tmp_path / "other")
    with pytest.raises(UsageError, match="one scorer"):
        attribute(scorer="sketch,cosine")


def test_an_adapter_and_a_training_step_have_an_index_of_their_own(attribute, tmp_path, world):
    """A trained checkpoint is another model: refused in the base model's index, at home in its own."""
    from peft import LoraConfig, get_peft_model

    from xferbench import Checkpoint, load
    from xferbench.execute import execute
    from xferbench.experiment import Experiment
    from xferbench.plan import make
    from xferbench.store import Store

    attribute(scorer="sketch:dimensions=64")
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    network = load(Checkpoint(str(world.model)), trainable=True).network
    get_peft_model(network, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(UsageError, match=r"checkpoint is null, not"):
        attribute(model=str(tmp_path / "adapter"))
    assert attribute(model=str(tmp_path / "adapter"), folder=tmp_path / "own")["index"][0]["made"] == 3

    asked = Experiment(
        ("letters",), ("quick",), "tiny", trainer=("nudge",), conditions=("transfer",), scorer=(), seeds=(0,),
        train_limit=8, executor="inline",
    )  # fmt: skip
    store, plan = Store(tmp_path / "runs"), make(asked, catalog.load())
    assert not execute(plan, store, catalog.load()).not_done
    steps = {step.kind: str(store.folder(step)) for step in plan.steps}
    with pytest.raises(UsageError, match=r"model is .*, not"):
        attribute(model=steps["train"])
    with pytest.raises(UsageError, match="not a training step"):
        attribute(model=steps["evaluate"])


def test_examples_without_a_gradient_are_named_and_left_out(attribute, monkeypatch):
    from xferbench_gradients import scoring

    original = scoring.finished

    def poisoned(scores, learnt):
        scores[:1] = torch.nan
        return original(scores, learnt)

    monkeypatch.setattr(scoring, "finished", poisoned)
    found = attribute(top=30)
    assert found["targets"][0]["sources"][0]["null"] == 3  # the first of each shard
    assert len(found["targets"][0]["top"]) == 17
    assert "no finite, non-zero gradient (score nan): letter-" in found["stderr"]


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        spread.draw({"t": {"s": [float("nan")]}}, [0.0], tmp_path / "a.png")
