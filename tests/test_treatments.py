"""Treatments of a source: label imbalance, wrong labels, subsampling, the placebo; wherever a source is named."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xferbench import DataError, Domain, Example, UsageError
from xferbench.analyse import treatments as analysis
from xferbench.curriculum import parse
from xferbench.draw import draw
from xferbench.experiment import from_mapping
from xferbench.results import Cell, Results
from xferbench.treatments import FORMS, label, mislabelled, split, treat

CLASSES = st.lists(st.sampled_from(["yes", "no", "maybe"]), min_size=12, max_size=60).filter(lambda c: len(set(c)) > 1)


def labelled(classes, work=""):
    return [Example(f"e{i}", f"prompt {i}", f"{work}{name}", "d") for i, name in enumerate(classes)]


def labels(examples):
    return Counter(label(one.answer) for one in examples)


@given(CLASSES, st.floats(0.01, 1), st.integers(0, 9))
def test_a_share_of_the_labels_is_wrong_and_no_other(classes, share, seed):
    before = labelled(classes)
    after = mislabelled(before, share, seed)
    wrong = [a.answer != b.answer for a, b in zip(after, before, strict=True)]
    assert sum(wrong) == round(share * len(before))
    assert {one.answer for one in after} <= set(classes)
    assert [(one.id, one.prompt) for one in after] == [(one.id, one.prompt) for one in before]


@given(CLASSES, st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_what_is_wrong_stays_wrong_in_the_same_way_at_a_larger_share(classes, shares):
    before = labelled(classes)
    for less, more in pairwise(mislabelled(before, share) for share in sorted(shares)):
        assert all(b.answer == a.answer for a, b, was in zip(less, more, before, strict=True) if a.answer != was.answer)


def test_wrong_labels_are_drawn_evenly_from_the_others():
    after = mislabelled(labelled(["a"] * 3000 + ["b"] * 10 + ["c"] * 10), 1.0)
    drawn = Counter(one.answer for one in after[:3000])
    assert drawn["a"] == 0
    assert abs(drawn["b"] - 1500) < 4 * (3000 / 4) ** 0.5  # four deviations of a fair coin


def test_only_the_label_of_a_worked_answer_is_changed():
    before = [Example(f"e{i}", "p", f" {i}*2={2 * i} #### {2 * i}") for i in range(20)]
    for was, now in zip(before, treat(before, "mislabelled=1.0"), strict=True):
        assert now.answer.partition("####")[0] == was.answer.partition("####")[0]
        assert label(now.answer) != label(was.answer)
        assert now.answer.startswith(f"{was.answer.partition('####')[0]}#### ")


@given(CLASSES)
def test_balanced_has_as_many_of_each_as_the_rarest(classes):
    found = treat(labelled(classes), "balanced")
    assert set(labels(found).values()) == {min(Counter(classes).values())}
    assert [int(one.id[1:]) for one in found] == sorted(int(one.id[1:]) for one in found)


@given(CLASSES, st.floats(0.1, 0.9))
def test_imbalanced_has_the_share_and_could_not_be_larger(classes, share):
    count = Counter(classes)
    top = min(name for name in count if count[name] == max(count.values()))
    rest = len(classes) - count[top]
    assume(share * (total := int(min(count[top] / share, rest / (1 - share)))) > 0.5 and (1 - share) * total > 0.5)
    found = treat(labelled(classes), f"imbalanced={share!r}")
    kept = labels(found)
    assert abs(kept[top] - share * len(found)) <= 0.5 + 1e-6
    more = len(found) + 1
    assert share * more > count[top] + 1e-6 or (1 - share) * more > rest + 1e-6


def test_the_published_imbalance_is_reached_by_naming_the_label():
    # Flipkart in the paper: negative 13.9 % of its natural labels, 50 % after balancing
    classes = ["positive"] * 812 + ["negative"] * 139 + ["neutral"] * 49
    assert labels(treat(labelled(classes), "imbalanced=0.5@negative"))["negative"] == 139
    assert labels(treat(labelled(classes), "balanced")) == {"positive": 49, "negative": 49, "neutral": 49}


def test_a_smaller_subsample_is_the_beginning_of_a_larger_and_equals_a_smaller_draw():
    domain = Domain("d", lambda: labelled(["a", "b"] * 50))
    assert draw(domain, 80, "subsample=0.25") == draw(domain, 80, "subsample=20") == draw(domain, 20)
    assert draw(domain, 80, "balanced~subsample=10")[:5] == draw(domain, 80, "balanced~subsample=5")


@pytest.mark.parametrize(
    ("treatment", "classes", "why"),
    [
        ("balanced", ["a"] * 5, "1 different labels in 5 examples"),
        ("balanced", list("abcdef"), "6 different labels in 6 examples"),
        ("imbalanced=0.99", ["a"] * 5 + ["b"] * 5, "too few"),
        ("mislabelled=0.5", ["a"] * 5, "all answers of d are 'a'"),
        ("subsample=0.01", ["a"] * 5, "leaves none of 5 examples"),
    ],
)
def test_what_the_labels_do_not_allow_is_an_error(treatment, classes, why):
    with pytest.raises(DataError, match=why):
        treat(labelled(classes), treatment)


def test_a_label_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UsageError, match=r"unknown label 'ja'.*\(known: no, yes\)"):
        treat(labelled(["yes", "no"] * 5), "imbalanced=0.8@ja")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("math~mislabeled=0.3", "did you mean 'mislabelled'"),
        ("math~", "unknown treatment"),
        ("math~mislabelled", "takes a share above 0 and below 1"),
        ("math~mislabelled=1.5", "not '1.5'"),
        ("math~mislabelled=nan", "not 'nan'"),
        ("math~subsample=0", "or a whole number, not '0'"),
        ("math~subsample=1.0", "or a whole number"),
        ("math~shuffled=0.5", "takes no value"),
        ("math~mislabelled=0.5@yes", "does not take"),
        ("math~imbalanced=0.5@", "does not take"),
    ],
)
def test_a_treatment_that_cannot_be_is_refused_in_one_line(name, why):
    with pytest.raises(UsageError, match=why):
        split(name)


def test_a_treatment_has_one_spelling():
    assert split("math~mislabelled=.30~subsample=0100~half3") == ("math", "mislabelled=0.3~subsample=100~half3")
    assert split("mini/math") == ("mini/math", "")


def test_sources_with_values_are_a_list_like_any_other():
    text = "math,math~mislabelled=0.3,code~subsample=0.5~shuffled,code"
    assert from_mapping({"source": text, "target": "gpqa"}).source == tuple(text.split(","))
    assert str(parse("math~mislabelled=0.3:0.8+code:0.2>math")) == "math~mislabelled=0.3:0.8+code:0.2>math"
    with pytest.raises(UsageError, match="math is mixed with itself"):
        parse("math+math~mislabelled=0.3")


def test_treated_sources_are_trained_and_measured_beside_the_plain_one(light, tmp_path):
    names = ("f/d0", "f/d0~mislabelled=0.5", "f/d0~subsample=0.5", "f/d1~mislabelled=1.0~subsample=4")
    found = light(tmp_path, source=",".join(names), conditions="transfer,placebo,sequential,joint")
    trained = {(cell.source, cell.condition): cell for cell in found.cells if cell.condition != "baseline"}
    for name in names:
        assert trained[name, "transfer"].curriculum == name
        assert trained[name, "placebo"].curriculum == f"{name}~shuffled"
    assert len({cell.step for cell in found.cells}) == len(found.cells)  # every treatment is a training of its own
    # t1's own domain is d1: it is not trained on after, or beside, itself in another form
    assert (names[3], "sequential") not in trained
    assert trained[names[1], "sequential"].curriculum == f"{names[1]}>f/d1"
    assert any("f/d0~subsample=0.5: learns from 4 of the 8 examples drawn" in note for note in found.run["notes"])
    again = light(tmp_path, source="f/d0~shuffled", conditions="transfer")
    step = next(cell.step for cell in again.cells if cell.condition == "transfer")
    assert step == trained["f/d0", "placebo"].step


def test_every_treatment_is_told(xferbench):
    told = xferbench("list", "treatments").stdout
    assert all(form in told for form in FORMS)


def measured(chance, seeds=3, items=400):
    """Results with items for {curriculum: chance of a right answer}, for the same questions."""
    rng = np.random.default_rng(1)
    level = rng.random(items)
    cells, held = [], {}
    for curriculum, p in chance.items():
        for seed in range(seeds):
            scores = ((level + 0.3 * rng.random(items)) / 1.3 < p).astype(float)
            step = f"{curriculum}-{seed}"
            held[step] = {(f"i{n}", "p"): x for n, x in enumerate(scores)}
            value = float(scores.mean())
            cells.append(Cell("transfer", curriculum, "sft", curriculum, "t", seed, "acc", value, 0.02, items, step))
    return Results({}, cells, [], [], None, held=held)


def test_a_treatment_is_held_against_the_plain_source_item_by_item():
    results = measured({"a": 0.7, "a~mislabelled=0.5": 0.4, "a~subsample=0.5": 0.7, "b~balanced": 0.5})
    worse, same, alone = analysis.treatments(results)
    bad, plain = (
        np.mean([c.value for c in results.cells if c.curriculum == name]) for name in (worse["curriculum"], "a")
    )
    assert worse["value"] == pytest.approx(bad - plain)
    assert worse["high"] < 0
    assert worse["p_holm"] < 0.01
    assert same["low"] < 0 < same["high"]
    assert alone["reason"] == "b was not trained on as it is (add it to --source)"
    assert alone["value"] is None
    shown = analysis.text([worse, same, alone])
    assert "b was not trained on" in shown
    assert "nan" not in shown


def test_shares_and_stages_keep_their_place_without_treatments():
    assert analysis.untreated("a~shuffled:0.8+b:0.2>c~half3") == "a:0.8+b:0.2>c"


def test_nothing_treated_is_said_and_not_drawn(tmp_path):
    found = analysis.treatments(measured({"a": 0.5}))
    assert found == []
    assert "no source was treated" in analysis.text(found)
    with pytest.raises(UsageError, match="nothing to draw"):
        analysis.draw(found, tmp_path / "f.png")
