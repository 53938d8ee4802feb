"""Curricula: text and back, what each budget draws, one adapter through all stages, and their cells in the result."""

import json
from fractions import Fraction

import jsonschema
import pytest
from conftest import kept
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from xferbench import Checkpoint, UsageError, budget, encode, load
from xferbench.analyse import order, training
from xferbench.analyse.document import document, text
from xferbench.analyse.schema import SCHEMA
from xferbench.curriculum import Curriculum, Part, parse
from xferbench.draw import draw
from xferbench.execute import ask, execute
from xferbench.experiment import from_mapping
from xferbench.plan import make
from xferbench.results import Results, read
from xferbench.steps import Train
from xferbench.store import read_step
from xferbench_sft import SFT

NAMES = st.text("ab0_-./", min_size=1, max_size=4)


@st.composite
def stages(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    if len(names) == 1 or draw(st.booleans()):
        return tuple(Part(name) for name in names)
    weights = draw(st.lists(st.integers(1, 1000), min_size=len(names), max_size=len(names)))
    return tuple(Part(name, weight / sum(weights)) for name, weight in zip(names, weights, strict=True))


CURRICULA = st.lists(stages(), min_size=1, max_size=3, unique_by=frozenset).map(lambda s: Curriculum(tuple(s)))


@given(CURRICULA)
def test_a_curriculum_is_read_back_as_it_was_written(curriculum):
    assert parse(str(curriculum)) == curriculum
    assert parse(str(curriculum).replace(">", " > ").replace("+", " + ")) == curriculum


def test_a_domain_may_come_back_later():
    assert parse("a>b>a").domains == ("a", "b")
    assert str(parse("a+b>a")) == "a+b>a"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("math:0.8+science:0.3", "the shares of math:0.8.science:0.3 sum to 1.1, not to 1"),
        ("math:1.8+science:-0.8", "the share of math lies above 0 and below 1, not at 1.8"),
        ("math:-0.2+science:1.2", "the share of math lies above 0 and below 1, not at -0.2"),
        ("math:nan+science:1", "the share of math lies above 0 and below 1, not at nan"),
        ("math:1+science:0", "the share of math lies above 0 and below 1, not at 1"),
        ("science:0+math:1", "not at 0: leave science out"),
        ("math:0.8+science", "science has no share, and others have"),
        ("math:0.8", "sum to 0.8, not to 1"),
        ("math+math", "math is mixed with itself"),
        ("math>math", "math after itself is no other stage"),
        ("a+b>b+a", "after itself is no other stage"),
        ("math>", "a domain is missing"),
        ("+math", "a domain is missing"),
        ("", "a domain is missing"),
    ],
)
def test_what_is_no_curriculum_is_refused_in_one_line(typed, said):
    with pytest.raises(UsageError, match=said) as caught:
        parse(typed)
    assert "\n" not in str(caught.value)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_apportioned_parts_sum_up_and_are_within_one_of_their_share(total, weights):
    shares = [weight / sum(weights) for weight in weights]
    found = budget.apportion(total, shares)
    assert sum(found) == total
    for n, weight in zip(found, weights, strict=True):
        assert abs(n - Fraction(total * weight, sum(weights))) < 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 2000))
def test_as_many_examples_as_come_nearest_to_the_tokens(lengths, tokens):
    found = budget.fitting(lengths, tokens)
    gaps = [abs(sum(lengths[:n]) - tokens) for n in range(1, len(lengths) + 1)]
    assert abs(sum(lengths[:found]) - tokens) == min(gaps)


def planned(catalog, **asked):
    values = {"suite": "tiny", "target": "quick", "seeds": "0", "scorer": "", **asked}
    return make(from_mapping(values), catalog)


def sizes(plan, steps=False):
    """{curriculum: the examples (and max_steps) of each stage} of a plan."""
    found = {}
    for step in plan.steps:
        if isinstance(step, Train):
            stages, one = [], step
            while one is not None:
                n = [data.n for data in one.data]
                stages.insert(0, (n, one.trainer.settings["max_steps"]) if steps else n)
                one = one.start
            found[step.curriculum] = stages
    return {name.replace("tiny/", ""): stages for name, stages in found.items()}


MIXES = "letters>picks,letters+picks,letters:0.75+picks:0.25,letters>picks>letters"


def test_what_each_budget_draws(inside):
    assert sizes(planned(inside, curriculum=MIXES, train_limit=12)) == {
        "letters": [[12]],
        "letters>picks": [[12], [12]],
        "letters+picks": [[12, 12]],
        "letters:0.75+picks:0.25": [[12, 4]],
        "letters>picks>letters": [[12], [12], [12]],
    }
    counted = planned(inside, curriculum=MIXES, train_limit=12, trainer="sft:max_steps=6")
    assert {name: [steps for _, steps in stages] for name, stages in sizes(counted, steps=True).items()} == {
        "letters": [6],
        "letters>picks": [6, 6],
        "letters+picks": [12],
        "letters:0.75+picks:0.25": [8],
        "letters>picks>letters": [6, 6, 6],
    }
    matched = planned(inside, curriculum=MIXES, train_limit=12, budget="matched_steps", trainer="sft:max_steps=6")
    assert matched.budget == {"name": "matched_steps", "total": 12, "unit": "examples"}
    found = sizes(matched, steps=True)
    found.pop("letters"), found.pop("letters>picks", None)  # the first stages of two curricula share these names
    assert found == {
        "letters+picks": [([6, 6], 6)],
        "letters:0.75+picks:0.25": [([9, 3], 6)],
        "letters>picks>letters": [([4], 2), ([4], 2), ([4], 2)],
    }
    pair = sizes(planned(inside, curriculum="letters>picks", train_limit=12, budget="matched_steps"), steps=True)
    assert pair["letters>picks"] == [([6], 2), ([6], 2)]


def test_matched_tokens_are_counted_with_the_models_own_tokenizer(inside, world):
    plan = planned(inside, curriculum="letters>picks,letters+picks", train_limit=20, budget="matched_tokens")
    tokenizer = load(Checkpoint(str(world.model))).tokenizer

    def tokens(name, n):
        examples = draw(inside.entry("domain", f"tiny/{name}").value, 20)[:n]
        return [len(encode(tokenizer, one).ids) for one in examples]

    total = min(sum(tokens("letters", 20)), sum(tokens("picks", 20)))
    assert plan.budget == {"name": "matched_tokens", "total": total, "unit": "tokens"}
    ((first, second),) = sizes(plan)["letters+picks"]
    for name, n in (("letters", first), ("picks", second)):
        assert abs(sum(tokens(name, n)) - total / 2) <= max(tokens(name, 20)) / 2 + 1


def test_the_conditions_follow_the_budget_and_a_share_is_no_part_of_the_identity(inside):
    found = sizes(planned(inside, source="letters", budget="matched_steps", train_limit=10))
    assert found["letters+picks"] == [[5, 5]]
    assert found["letters>picks"] == [[5], [5]]
    assert found["picks"] == found["letters~shuffled"] == [[10]]
    one, other = (
        planned(inside, curriculum=text).cells[-1].step for text in ("letters+picks", "picks:0.5+letters:0.5")
    )
    assert one.id == other.id


def test_wrong_names_are_refused_with_the_nearest(inside):
    with pytest.raises(UsageError, match=r"unknown domain 'leters'; did you mean 'letters'\?"):
        planned(inside, curriculum="picks>leters")
    with pytest.raises(UsageError, match=r"unknown budget 'matched'; did you mean 'matched_steps'\?"):
        planned(inside, curriculum="picks", budget="matched")
    with pytest.raises(UsageError, match=r"a source .* is missing"):
        make(from_mapping({"suite": "tiny", "target": "quick"}), inside)


# One run of curricula in process.


def test_a_run_of_curricula(inside, world, tmp_path):
    values = {
        "suite": "tiny",
        "target": "quick",
        "trainer": "sft:max_steps=10",
        "seeds": "0",
        "scorer": "",
        "executor": "inline",
    }
    typed = "letters>picks,picks>letters,picks"

    def asked():
        plan, store = ask(from_mapping({**values, "curriculum": typed}), inside, tmp_path)
        return document(execute(plan, store, inside))

    found = asked()
    jsonschema.validate(found, SCHEMA)
    names = {"tiny/letters>tiny/picks", "tiny/picks>tiny/letters", "tiny/picks"}
    assert {c["curriculum"] for c in found["cells"] if c["condition"] == "curriculum"} == names
    assert found["budget"]["name"] == "additive"
    value = {cell["curriculum"]: cell["value"] for cell in found["cells"]}
    for row in found["curricula"]:
        assert row["value"] == pytest.approx(value[row["curriculum"]])
        assert row["gain"]["value"] == pytest.approx(value[row["curriculum"]] - value[""])
    assert "tiny/picks>tiny/letters" in text(found)
    before = kept(tmp_path)
    assert asked() == found
    assert kept(tmp_path) == before
    results = read(tmp_path)
    _one_adapter(tmp_path, inside, world)
    _order(results)
    _curves(results)


def _one_adapter(folder, catalog, world):
    """The second stage of a>b is what the trainer makes of a's adapter, and nothing else."""
    steps = {path.name: read_step(path) for path in (folder / "steps").glob("train-*")}
    last = next(s for s in steps.values() if s.curriculum == "tiny/letters>tiny/picks" and s.seed == 0)
    first = folder / "steps" / last.start.id / "adapter"
    examples = draw(catalog.entry("domain", "tiny/picks").value, 8)
    out = folder / "by hand"
    out.mkdir()
    start = Checkpoint(str(world.model), str(first))
    made = SFT(**last.trainer.settings).train(start, examples, None, out, 0)
    mine = load_file(folder / "steps" / last.id / "adapter" / "adapter_model.safetensors")
    by_hand = load_file(f"{made.adapter}/adapter_model.safetensors")
    before = load_file(first / "adapter_model.safetensors")
    assert mine.keys() == by_hand.keys() == before.keys()
    assert all((mine[key] == by_hand[key]).all() for key in mine)
    assert any((mine[key] != before[key]).any() for key in mine)


def _order(results):
    found = order.order(results)
    mean = {cell.curriculum: cell.value for cell in results.cells}
    (row,) = found["order"]
    assert {row["curriculum"], row["against"]} == {"tiny/letters>tiny/picks", "tiny/picks>tiny/letters"}
    assert row["value"] == pytest.approx(mean[row["curriculum"]] - mean[row["against"]], abs=1e-9)
    (row,) = found["initialising"]  # quick is the target of picks, known from the run's own record
    assert row["value"] == pytest.approx(mean["tiny/letters>tiny/picks"] - mean["tiny/picks"], abs=1e-9)


def _curves(results):
    folder = results.root
    found = training.training(results)
    losses = [curve for curve in found["curves"] if curve["metric"] == "loss"]
    assert {curve["curriculum"] for curve in losses} >= {"tiny/letters>tiny/picks", "tiny/letters"}
    for curve in losses:
        for one in curve["seeds"]:
            log = (folder / "steps" / one["step"] / "training.jsonl").read_text().splitlines()
            rows = [row for row in map(json.loads, log) if "step" in row]
            assert (one["x"], one["y"]) == ([row["step"] for row in rows], [row["loss"] for row in rows])
    training.draw(found, folder / "curves.svg")
    assert "tiny/letters>tiny/picks" in training.text(found)


def test_curves_of_several_seeds_and_domains_and_their_mean(tmp_path):
    logs = {
        "t0": [{"step": 1, "loss": 2.0, "note": "x"}, {"step": 2, "loss": 1.0}, {"tokens": 9}],
        "t1": [{"step": 1, "loss": 4.0}, {"step": 3, "loss": None}, {"tokens": 9}],
        "t2": [{"call": 0, "domain": "a", "reward": 0.25}, {"call": 0, "domain": "b", "reward": 0.5}, {}],
    }
    (tmp_path / "training").mkdir()
    rows = []
    for name, log in logs.items():
        (tmp_path / "training" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
        trainer = "grpo" if name == "t2" else "sft"
        rows.append({"step": name, "curriculum": "a", "recipe": trainer, "trainer": trainer, "seed": int(name[1])})
    found = training.training(Results({}, [], [], [], tmp_path, training=rows))
    loss, first, second = found["curves"]
    assert loss["mean"] == {"x": [1, 2], "y": [3.0, 1.0], "n": [2, 1]}
    assert [(c["metric"], c["domain"], c["over"], c["mean"]["y"]) for c in (first, second)] == [
        ("reward", "a", "call", [0.25]),
        ("reward", "b", "call", [0.5]),
    ]
    training.draw(found, tmp_path / "curves.png")
    empty = training.training(Results({}, [], [], [], tmp_path))
    assert "no training" in training.text(empty)
    with pytest.raises(UsageError, match="nothing to draw"):
        training.draw(empty, tmp_path / "none.png")
    (tmp_path / "training" / "t0.jsonl").write_text("{")
    with pytest.raises(UsageError, match="the log of a training cannot be read"):
        training.training(Results({}, [], [], [], tmp_path, training=rows))
