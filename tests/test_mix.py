"""Mixtures: what is chosen is what the scores say, in a fixed budget, done once, and the best share is judged."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import WORLD_PLUGINS, kept, within
from hypothesis import given
from hypothesis import strategies as st

from xferbench import Example, UsageError
from xferbench.analyse import mixture
from xferbench.cli import main
from xferbench.draw import choose
from xferbench.experiment import from_mapping
from xferbench.mix import Mix, plan, shares
from xferbench.results import Cell, Results, read, read_scores, write_items
from xferbench.steps import Train, from_json, to_json
from xferbench.store import Store, read_step
from xferbench.work import _examples
from xferbench_gradients import Updates

ASKED = ("mix", "--suite", "tiny", "--source", "letters", "--with", "picks", "--target", "quick")
ASKED += ("--trainer", "nudge", "--scorer", "vocabulary", "--executor", "inline", "--seeds", "0,1", "--pool", "8")


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=12), st.data())
def test_the_choice_by_score(scores, data):
    examples = [Example(f"e{i}", "p", "a") for i in range(len(scores))]
    n = data.draw(st.integers(0, len(scores)))
    by_id = {example.id: score for example, score in zip(examples, scores, strict=True)}
    for rank, sign in (("top", 1), ("bottom", -1)):
        chosen = choose(examples, n, rank, by_id)
        assert [one for one in examples if one in chosen] == chosen
        left = [one for one in examples if one not in chosen]
        worth = {id(one): -np.inf if by_id[one.id] is None else sign * by_id[one.id] for one in examples}
        assert len(chosen) == n
        assert not chosen or not left or min(worth[id(c)] for c in chosen) >= max(worth[id(x)] for x in left)
    drawn = choose(examples, n, "random", {}, seed=1)
    assert drawn == choose(examples, n, "random", {}, seed=1)
    assert len({one.id for one in drawn}) == n


def test_shares_as_typed():
    assert shares("0,0.2,...,1") == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert shares("0, 0.5,1") == (0, 0.5, 1)
    assert shares("0.1,0.4,...,1") == (0.1, 0.4, 0.7, 1)
    for wrong, said in (("0,x", "takes shares"), ("0,0,...,1", "takes shares"), ("0,0.5,...,inf", "takes shares"),
                        ("0,0.3,...,1", "from 0 in steps of 0.3 one does not come to 1"),
                        ("0,0.5,...,-1", "one does not come to -1")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            shares(wrong)
    for wrong, said in (((0, 1.5), "from 0 to 1, not at 1.5"), ((-0.1,), "not at -0.1"), ((0.5, 0.5), "rising")):
        with pytest.raises(UsageError, match=said):
            Mix(wrong)


def test_a_mixture_of_the_tiny_world(inside, tmp_path):
    asked = [*ASKED, "--out", str(tmp_path)]
    done = CliRunner().invoke(main, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {(row["share"], row["arm"]) for row in found["curve"]} == {
        (share, arm) for share in (0, 0.5, 1) for arm in ("top", "random", "bottom")
    }
    _chosen(tmp_path, inside)
    results = read(tmp_path / "mix")
    for row in found["curve"]:
        mine = [c.value for c in results.cells
                if c.condition == row["arm"] and mixture.share(c, "tiny/letters") == row["share"]]  # fmt: skip
        assert len(mine) == 2
        assert row["value"] == pytest.approx(sum(mine) / 2)
    ends = [row for row in found["against"] if row["share"] in (0, 1)]
    assert {row["value"] for row in ends} == {0.0}
    assert all("the same training" in row["reason"] for row in ends)
    assert (tmp_path / "mix" / "mix.png").stat().st_size > 10_000
    before = kept(tmp_path)
    assert "Best share of tiny/letters" in CliRunner().invoke(main, asked).stdout
    shown = CliRunner().invoke(main, ["analyse", "mix", str(tmp_path / "mix"), "--json"])
    assert json.loads(shown.stdout).items() <= found.items()
    assert kept(tmp_path) == before


def test_the_training_that_is_scored_keeps_what_the_scorer_reads(world):
    asked = {"suite": "tiny", "source": "letters,picks", "target": "quick", "trainer": "sft", "scorer": "updates"}
    with within(world, f"{WORLD_PLUGINS},gradients") as catalog:
        planned, _ = plan(from_mapping({**asked, "seeds": "0"}), Mix(), catalog)
    kept = {len(step.data) == 2 and not step.data[0].chosen: step.trainer.settings["capture_updates"]
            for step in planned.steps if isinstance(step, Train)}  # fmt: skip
    assert kept == {True: Updates().needs["capture_updates"], False: 0}
    assert {step.train.trainer.settings["capture_updates"] for step in planned.attributions} == {kept[True]}


def _chosen(folder, catalog):
    """Each training learnt from the examples that the stored scores say, as many as there are slots."""
    store = Store(folder)
    steps = [read_step(path) for path in sorted((folder / "steps").glob("train-*"))]
    assert len(steps) == 11  # one on all of both, four on all of one domain, six halves: three arms, two seeds
    halves = [step for step in steps if any(data.chosen for data in step.data)]
    assert len(halves) == 6
    random = set()
    for step in halves:
        assert from_json(to_json(step)).id == step.id
        for data in step.data:
            examples = [one.id for one in _examples(data, catalog, store)]
            assert len(examples) == data.chosen.n == 4
            if data.chosen.rank == "random":
                random.add((data.domain, tuple(examples)))
                continue
            scores = read_scores(store.folder(data.chosen.by) / "scores.jsonl.gz")
            ranked = sorted(scores.values(), reverse=data.chosen.rank == "top")
            assert sorted((scores[name] for name in examples), reverse=data.chosen.rank == "top") == ranked[:4]
    assert len(random) == 4  # another choice for every seed and domain


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--p", "0,2"), "a share p lies from 0 to 1, not at 2"),
        (("--with", "letters"), "source names something twice"),
        (("--with", "pics"), "unknown domain 'pics'; did you mean 'picks'?"),
        (("--scorer", "cosin"), "unknown scorer 'cosin'"),
        (("--scorer", "random,vocabulary"), "mix takes one scorer"),
        (("--target", "quick,pick"), "mix takes one target"),
        (("--slots", "9"), "9 slots for tiny/picks at p=0, and 8 examples of it are drawn: see --pool"),
        (("--p", "0,0.05,1"), "at p=0.05, 8 slots hold no example of tiny/letters"),
        (("--p", "0.97"), "at p=0.97, 8 slots hold no example of tiny/picks"),
        (("--score-at", "end"), "unknown checkpoint to score at 'end'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(inside, tmp_path, more, said):
    done = CliRunner().invoke(main, [*ASKED, *more, "--out", str(tmp_path / "out")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def made(tmp_path, truth, seeds=3, n=400):
    """A mixture whose true scores are known: share -> chance of a right answer, for arm top."""
    rng = np.random.default_rng(0)
    hardness = rng.random(n)
    cells = []

    def cell(condition, curriculum, seed, chance):
        step = f"{condition}{curriculum.replace('+', '-').replace(':', '_')}{seed}"
        scores = (hardness < chance + rng.normal(0, 0.005)).astype(float)
        rows = [{"id": str(i), "prompt": "p", "score": score} for i, score in enumerate(scores)]
        write_items(tmp_path / "items" / f"{step}.jsonl.gz", rows)
        cells.append(Cell(condition, curriculum, "sft", "a", "t", seed, "acc", scores.mean(), 0.02, n, step))

    cell("baseline", "", None, 0.3)
    for share, chance in truth.items():
        name = {0.0: "b", 1.0: "a"}.get(share, f"a~top:{share}+b~top:{1 - share}")
        for seed in range(seeds):
            cell("top", name, seed, chance)
    about = {"source": "a", "with": "b", "target": "t", "scorer": "s", "recipe": "sft", "slots": 9}
    return Results({"mix": about}, cells, [], [], tmp_path)


def test_the_best_share_is_told_apart_only_where_it_is(tmp_path):
    clear = mixture.mixture(made(tmp_path / "clear", {0.0: 0.4, 0.5: 0.7, 1.0: 0.5}))["best"]
    assert (clear["share"], clear["rivals"]) == (0.5, [])
    assert [row["of_draws"] for row in clear["often_best"]] == [0.0, 1.0, 0.0]
    (lead,) = [row for row in clear["leads"] if row["share"] == 1.0]
    assert lead["low"] < 0.2 < lead["high"]
    level = mixture.mixture(made(tmp_path / "level", {0.0: 0.5, 0.5: 0.503, 1.0: 0.5}))
    assert len(level["best"]["rivals"]) == 2
    assert "It is not told apart from" in mixture.text(level)
    assert sum(row["of_draws"] for row in level["best"]["often_best"]) == pytest.approx(1)


def test_one_share_has_no_best(tmp_path):
    alone = mixture.mixture(made(tmp_path / "alone", {1.0: 0.5}))
    assert alone["best"] is None
    assert "A best share takes two that were measured by score." in mixture.text(alone)
    mixture.draw(alone, tmp_path / "alone.png")


def test_a_folder_without_a_mixture_says_so():
    with pytest.raises(UsageError, match="holds no mixture"):
        mixture.mixture(Results({}, [], [], [], None))


def test_examples_without_a_score_are_taken_last_and_told(inside, tmp_path, monkeypatch):
    """Three of eight have one, and four are chosen: the fourth is no choice by score, and the notes say so."""
    from xferbench_baselines import Vocabulary

    rising = [float(n) if n < 3 else np.nan for n in range(8)]
    monkeypatch.setattr(Vocabulary, "score", lambda self, model, examples, queries: np.array(rising)[:, None])
    more = ("--p", "0.5", "--seeds", "0", "--out", str(tmp_path), "--json")
    done = CliRunner().invoke(main, [*ASKED, *more])
    assert done.exit_code == 0, done.output
    notes = [note for note in json.loads(done.stdout)["notes"] if "have no score" in note]
    assert len(notes) == 4  # of two domains, the arms top and bottom; the random one asks for no score
    for chosen in ("letters~top", "letters~bottom", "picks~top", "picks~bottom"):
        assert any(f": 1 of the examples of tiny/{chosen}:0.5 have no score" in note for note in notes), notes
