"""Published tables in, published numbers out: order, index, traits, and the wide tables they are read from."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from made import Made

from xferbench.analyse import index, menu, order, table, traits, wide
from xferbench.analyse.transfer import findings
from xferbench.cli import main
from xferbench.errors import UsageError
from xferbench.results import Cell, Results, write_items

TRAITS = Path(__file__).parent / "data" / "latent_traits_table1.csv"

ORDERS = """curriculum,strategy,math,science,logic,puzzle
math,single,82.76,14.44,34.26,4.66
science,single,73.96,38.28,28.11,4.05
logic,single,71.60,22.42,88.14,5.22
puzzle,single,70.20,23.84,33.11,20.15
math > science,sequential,83.28,40.81,,
science>math,sequential,77.84,25.35,,
math+science,mixed,78.44,39.90,-,
logic>science,sequential,,38.08,83.03,
science>logic,sequential,,37.47,80.46,
science+logic,mixed,,38.48,94.66,
math+science+logic,mixed,80.44,40.00,95.37,
science>math>logic,sequential,78.24,26.97,63.80,
logic>math>science,sequential,84.00,36.67,87.31,
"""
"""Scores of arXiv 2602.01365 (Qwen3-4B-Base, GRPO)."""

INDEX = """group,benchmark,base,sft_think,sft_no_think,rl
math,AIME24,13.0,52.0,16.0,55.7
math,AIME25,9.3,37.0,13.0,38.0
math,MATH500,60.4,85.0,77.2,87.8
math,OlympiadBench,27.9,25.0,22.7,33.8
other,GPQA-Diamond,42.6,55.9,48.7,57.7
other,LiveCodeBench2,29.7,21.9,23.5,40.6
other,ACPBench,10.7,68.6,69.3,65.4
other,HeadQA,37.6,34.8,35.0,40.2
non,CoQA,10.0,1.7,5.3,28.2
non,MC-TACO,67.7,38.2,66.1,74.0
non,IFEval,69.2,42.3,41.4,70.0
non,HaluEval,35.7,2.3,3.3,40.7
"""
"""Table 1 of arXiv 2507.00432."""


def written(tmp_path, text, **how):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return wide.read(path, **how)


def one(rows, **names):
    (row,) = [row for row in rows if all(row[key] == value for key, value in names.items())]
    return 100 * row["value"]


# order ---------------------------------------------------------------------------------------------------------------


def test_published_orders(tmp_path):
    found = order.order(wide.results(written(tmp_path, ORDERS)))
    assert one(found["order"], first="math", then="science", target="math") == pytest.approx(5.44, abs=0.01)
    assert one(found["order"], first="math", then="science", target="science") == pytest.approx(15.46, abs=0.01)
    assert one(found["interference"], domain="logic", after="science") == pytest.approx(-5.11, abs=0.01)
    assert one(found["interference"], domain="science", after="math") == pytest.approx(-12.93, abs=0.01)
    assert one(found["initialising"], first="science", domain="logic") == pytest.approx(-7.68, abs=0.01)
    assert one(found["initialising"], first="math", domain="science") == pytest.approx(2.53, abs=0.01)
    assert one(found["mixing"], domains=["science", "logic"], target="logic") == pytest.approx(11.63, abs=0.01)
    assert one(found["mixing"], domains=["math", "science"], target="science") == pytest.approx(-0.91, abs=0.01)
    three = next(s for s in found["strategies"] if s["domains"] == ["math", "science", "logic"])
    means = {row["curriculum"]: 100 * row["mean"] for row in three["rows"]}
    assert means["math+science+logic"] == pytest.approx(71.94, abs=0.01)
    assert means["science>math>logic"] == pytest.approx(56.34, abs=0.01)
    assert means["logic>math>science"] == pytest.approx(69.33, abs=0.01)
    assert three["balance"] == "math+science+logic"
    assert three["best_by_target"] == {
        "math": "logic>math>science",
        "science": "math+science+logic",
        "logic": "math+science+logic",
    }
    assert all(row["low"] is None and row["reason"] for row in found["order"])
    assert "+15.5" in order.text(found)
    order.draw(found, tmp_path / "order.svg")
    json.dumps(found, allow_nan=False)


@given(st.lists(st.floats(0, 100), min_size=8, max_size=8))
@settings(max_examples=30, deadline=None)
def test_order_is_antisymmetric(tmp_path_factory, scores):
    s = [f"{x:.3f}" for x in scores]
    lines = ["c,a,b", f"a,{s[0]},{s[1]}", f"b,{s[2]},{s[3]}", f"a>b,{s[4]},{s[5]}", f"b>a,{s[6]},{s[7]}"]
    path = tmp_path_factory.mktemp("order")
    first = order.order(wide.results(written(path, "\n".join(lines))))
    lines = [
        "c,b,a",
        *(",".join([row.split(",")[0], *row.split(",")[:0:-1]]) for row in (lines[2], lines[1], *lines[3:])),
    ]
    other = order.order(wide.results(written(path, "\n".join(lines))))
    for target in ("a", "b"):
        forth = one(first["order"], first="a", then="b", target=target)
        assert forth == pytest.approx(-one(other["order"], first="b", then="a", target=target))
    assert {(r["domain"], r["after"], r["value"]) for r in first["interference"]} == {
        (r["domain"], r["after"], r["value"]) for r in other["interference"]
    }


def test_order_of_a_run_is_paired_by_item(tmp_path):
    rng = np.random.default_rng(0)
    easy = rng.random(300)
    cells = []
    for curriculum, lift in (("a", 0.0), ("b", 0.1), ("a>b", 0.3), ("b>a", 0.1)):
        for target, seed in itertools.product(("ta", "tb"), (0, 1, 2)):
            values = (easy < 0.4 + lift + rng.normal(0, 0.01)).astype(float)
            step = f"{curriculum.replace('>', '-')}{target}{seed}"
            rows = [{"id": str(i), "prompt": "p", "score": v} for i, v in enumerate(values)]
            write_items(tmp_path / "items" / f"{step}.jsonl.gz", rows)
            direct = (curriculum, target) in (("a", "ta"), ("b", "tb"))
            name = "direct" if direct else "sequential" if ">" in curriculum else "transfer"
            cells.append(
                Cell(name, curriculum, "sft", curriculum[0], target, seed, "acc", values.mean(), 0.03, 300, step)
            )
    found = order.order(Results({}, cells, [], [], tmp_path))
    row = next(r for r in found["order"] if r["target"] == "tb")
    assert row["low"] < 0.2 < row["high"]
    assert row["p"] < 0.01
    assert {(r["domain"], r["target"]) for r in found["interference"]} == {("a", "ta"), ("b", "tb")}


def test_nothing_to_order(tmp_path):
    found = order.order(wide.results(written(tmp_path, "c,math,law\nmath,1,2\nlaw,3,4\n")))
    assert found["reason"]
    assert "nothing to compare" in order.text(found)
    with pytest.raises(UsageError, match="nothing to draw"):
        order.draw(found, tmp_path / "a.png")
    assert order.order(Results({}, [], [], [], None))["reason"]


# index ---------------------------------------------------------------------------------------------------------------


def raw(found):
    return {(row["row"], row["group"]): row["raw"] for row in found["rows"]}


def test_published_index(tmp_path):
    ratios = {"math": 1.0, "other": 1 / 0.8804, "non": 1 / 0.7842}
    found = index.index(written(tmp_path, INDEX), sigma=ratios)
    published = {"sft_think": (52.2, -104.1), "sft_no_think": (165.4, -278.9), "rl": (82.3, 52.2)}
    for row, (other, non) in published.items():
        assert raw(found)[row, "other"] == pytest.approx(other, abs=0.1)
        assert raw(found)[row, "non"] == pytest.approx(non, abs=0.1)
    by = {(row["row"], row["group"]): row for row in found["rows"]}
    assert by["sft_no_think", "other"]["value"] is None
    assert "includes 0" in by["sft_no_think", "other"]["reason"]
    assert by["rl", "non"]["low"] < 52.2 < by["rl", "non"]["high"]
    assert "(165.4)" in index.text(found)
    index.draw(found, tmp_path / "index.png")
    json.dumps(found, allow_nan=False)


def test_index_as_the_text_of_the_paper_reads(tmp_path):
    found = raw(index.index(written(tmp_path, INDEX), sigma="per_model", resamples=100))
    expected = {"sft_think": (42.9, -148.5), "sft_no_think": (96.7, -239.6), "rl": (71.0, 84.1)}
    for row, (other, non) in expected.items():
        assert found[row, "other"] == pytest.approx(other, abs=0.05)
        assert found[row, "non"] == pytest.approx(non, abs=0.05)


def test_first_version_of_the_index(tmp_path):
    found = index.index(written(tmp_path, INDEX), version="v1", resamples=100)
    assert raw(found)["sft_no_think", "other"] == pytest.approx(741.5, abs=0.05)
    model, base = np.array([52.0, 37, 85, 25]), np.array([13.0, 9.3, 60.4, 27.9])
    non, floor = np.array([1.7, 38.2, 42.3, 2.3]), np.array([10.0, 67.7, 69.2, 35.7])
    by_hand = 100 * (non / floor - 1).mean() / (model / base - 1).mean()
    assert raw(found)["sft_think", "non"] == pytest.approx(by_hand)


def test_index_refuses_what_it_cannot_use(tmp_path):
    good = written(tmp_path, INDEX)
    for how, words in (
        ({"source": "maths"}, "did you mean 'math'"),
        ({"version": "v3"}, "unknown version"),
        ({"sigma": "pool"}, "did you mean 'pooled'"),
        ({"sigma": {"math": 1.0}}, "no positive value for the group 'other'"),
    ):
        with pytest.raises(UsageError, match=words):
            index.index(good, **how)
    with pytest.raises(UsageError, match="group/benchmark"):
        index.index(written(tmp_path, "c,a\nbase,1\nx,2\n"))
    with pytest.raises(UsageError, match="needs a row 'base'"):
        index.index(written(tmp_path, "c,math/a\nx,2\n"))
    with pytest.raises(UsageError, match="divides"):
        index.index(written(tmp_path, "c,math/a\nbase,0\nx,2\n"), version="v1")


FAMILIES = """model,method,base,size,math/a,math/b,other/c,other/d
small,,,1B,10,20,30,40
small-sft,sft,small,1B,30,35,32,38
small-rl,rl,small,1B,31,37,36,45
large,,,8B,30,40,50,60
large-rl,rl,large,8B,45,52,58,66
"""


def test_models_of_several_bases_are_each_held_against_their_own(tmp_path):
    table = written(tmp_path, FAMILIES)
    sigma = {"math": 1.0, "other": 1.3}
    found = index.index(table, sigma=sigma, resamples=50)
    about = {(row["row"], row["base"], row["method"], row["size"]) for row in found["rows"]}
    assert about == {
        ("small-sft", "small", "sft", "1B"), ("small-rl", "small", "rl", "1B"), ("large-rl", "large", "rl", "8B")
    }  # fmt: skip
    lines = FAMILIES.splitlines()
    for base, rows in (("small", lines[1:4]), ("large", lines[4:])):
        alone = "c,math/a,math/b,other/c,other/d\n" + "\n".join(
            ",".join([row.split(",")[0].replace(base + "-", "x-"), *row.split(",")[4:]]) for row in rows
        )
        by_itself = raw(index.index(written(tmp_path, alone.replace(f"\n{base},", "\nbase,")), sigma=sigma))
        for (row, group), value in by_itself.items():
            assert raw(found)[row.replace("x-", f"{base}-"), group] == pytest.approx(value)
    # pooled: one spread a group, over the gains of all three models
    gains = {"math": [20, 15, 21, 17, 15, 12], "other": [2, -2, 6, 5, 8, 6]}
    pooled = {group: float(np.std(values)) for group, values in gains.items()}
    assert raw(index.index(table, resamples=50)) == pytest.approx(raw(index.index(table, sigma=pooled, resamples=50)))
    assert "small-rl   rl      1B    other" in index.text(found)
    index.draw(found, tmp_path / "index.png")
    with pytest.raises(UsageError, match=r"row \(column base\) 'smal'.*did you mean 'small'"):
        index.index(written(tmp_path, FAMILIES.replace("sft,small", "sft,smal")))


def test_a_line_without_a_group_says_what_the_models_are(tmp_path):
    turned = written(tmp_path, INDEX + ",method,,sft,sft,rl\n")
    assert turned.carried == {"method": ("", "sft", "sft", "rl")}
    plainly = index.index(written(tmp_path, INDEX), resamples=50)
    found = index.index(turned, resamples=50)
    assert raw(found) == raw(plainly)
    assert [row["method"] for row in found["rows"]] == ["sft"] * 4 + ["rl"] * 2


def test_the_index_of_runs_takes_groups_and_methods_from_their_rows(tmp_path):
    asked = CliRunner()
    gains = {"one": (0.4, 0.3), "two": (0.6, 0.5)}
    for seed, (name, (math, other)) in enumerate(gains.items()):
        run = Made(seed, n=50, groups={"m": "math", "o": "other"}, model={"name": name, "parameters": 1000})
        for target, gain in (("m", math), ("o", other)):
            run.add("baseline", "", target, 0.2)
            for recipe, part in (("sft", 0.5), ("rl", 1.0)):
                run.add("transfer", "mine", target, 0.2 + part * gain, recipe=recipe, source="mine")
        run.written(tmp_path / "runs" / name)
    done = asked.invoke(main, ["analyse", "index:sigma=math:1|other:1,version=v2", str(tmp_path / "runs"), "--json"])
    rows = {row["row"]: row for row in json.loads(done.output)["rows"]}
    assert set(rows) == {f"{run}: mine ({by})" for run in gains for by in ("sft", "rl")}
    assert (rows["two: mine (rl)"]["base"], rows["two: mine (rl)"]["method"]) == ("two: base", "rl")
    table = wide.models(menu.read(tmp_path / "runs", "points", {}).runs)
    value = dict(zip(table.rows, 100 * table.array(), strict=True))
    up = value["two: mine (rl)"] - value["two: base"]
    assert rows["two: mine (rl)"]["raw"] == pytest.approx(100 * np.sqrt(up[1] / up[0]))  # one benchmark a group
    for wrong, words in (("index:sigm=1", "did you mean 'sigma'"), ("index:sigma=math:x", "sigma is pooled"),
                         ("traits:x=1", "takes no settings"), ("hypotheses:rho=big", "takes numbers")):  # fmt: skip
        assert words in asked.invoke(main, ["analyse", wrong, str(tmp_path / "runs" / "one")]).output


# traits --------------------------------------------------------------------------------------------------------------


def test_published_components():
    data = wide.read(TRAITS)
    found = traits.traits(data)
    parts = found["components"]
    assert [c["explained"] for c in parts] == pytest.approx([0.2969, 0.2012, 0.1360, 0.1143], abs=5e-5)
    assert found["together"] == pytest.approx(0.7483, abs=5e-5)
    assert found["together_by_chance"] == pytest.approx(0.792, abs=0.002)
    assert found["p_together"] == pytest.approx(0.82, abs=0.015)
    assert all(c["p"] > 0.05 for c in parts)
    assert [c["stability"] for c in parts] == pytest.approx([0.79, 0.55, 0.70, 0.60], abs=0.006)
    signs = [np.sign(c["loadings"][t]) for c, t in zip(parts, ("GSM8K", "IMDB", "GSM8K", "Goat"), strict=True)]
    flipkart = [s * c["scores"]["lora_Flipkart"] for s, c in zip(signs, parts, strict=True)]
    assert flipkart == pytest.approx([0.35, 1.71, 0.37, -0.34], abs=0.006)
    assert signs[0] * parts[0]["loadings"]["MNLI"] == pytest.approx(-0.50, abs=0.005)
    assert signs[3] * parts[3]["loadings"]["Goat"] == pytest.approx(0.66, abs=0.005)
    assert "no more than by chance" in traits.text(found)
    assert "11 rows are few" in found["warning"]
    values = np.array(data.values)
    z = (values - values.mean(0)) / values.std(0)
    share = np.sort(np.linalg.eigvalsh(np.corrcoef(z.T)))[::-1] / z.shape[1]
    assert [c["explained"] for c in parts] == pytest.approx(list(share[:4]))


def test_components_that_are_there_are_found(tmp_path):
    rng = np.random.default_rng(1)
    trait = rng.normal(size=(30, 1))
    values = 50 + 10 * (trait * [[1, -1, 1, 1]] + 0.2 * rng.normal(size=(30, 4)))
    text = "c,a,b,d,e\n" + "".join(f"m{i}," + ",".join(f"{v:.4f}" for v in row) + "\n" for i, row in enumerate(values))
    found = traits.traits(written(tmp_path, text), components=1, resamples=500)
    assert found["components"][0]["p"] < 0.01
    assert found["components"][0]["stability"] > 0.99
    assert "more than by chance" in traits.text(found)
    traits.draw(found, tmp_path / "traits.png")
    json.dumps(found, allow_nan=False)


def test_gains_leave_out_a_rows_own_target(tmp_path):
    text = "c,a,b,d\nbase,10,20,30\na,90,25,33\nb,15,95,31\nd,11,29,99\na+b,90,90,38\n"
    data = written(tmp_path, text)
    values, rows = traits._values(data, gains=True)
    assert rows == ["a", "b", "d", "a+b"]
    assert values[0, 0] == pytest.approx((0.05 + 0.01) / 2)
    assert values[0, 1] == pytest.approx(0.05)
    assert traits.traits(data, gains=True, resamples=50)["gains"] is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c,a,b\nx,1,2\ny,3,4\n", "too small"),
        ("c,a,b\nx,1,2\ny,3,\nz,4,4\n", "full table"),
        ("c,a,b\nx,1,2\ny,3,2\nz,4,2\n", "same in all rows"),
    ],
)
def test_traits_refuse_what_has_none(tmp_path, text, words):
    found = traits.traits(written(tmp_path, text))
    assert (found["components"], found["together"], found["p_together"]) == ([], None, None)
    assert words in found["reason"]
    assert words in traits.text(found)
    with pytest.raises(UsageError, match=words):
        traits.draw(found, tmp_path / "traits.png")


# wide tables ---------------------------------------------------------------------------------------------------------


def test_a_table_is_read_as_it_is_written(tmp_path):
    found = written(tmp_path, ORDERS, items={"math": 500})
    assert found.rows[4] == "math>science"
    assert found.targets == ("math", "science", "logic", "puzzle")
    assert found.carried["strategy"][:2] == ("single", "single")
    assert found.values[0][0] == pytest.approx(0.8276)
    assert found.values[4][2] is None
    turned = written(tmp_path, INDEX)
    assert turned.rows == ("base", "sft_think", "sft_no_think", "rl")
    assert turned.targets[0] == "math/AIME24"
    assert written(tmp_path, "c,a\nx,0.5\n", scale="fraction").values == ((0.5,),)


@pytest.mark.parametrize(
    ("text", "how", "words"),
    [
        ("", {}, "needs a line of column names"),
        ("c,a\n", {}, "needs a line"),
        ("c,a\nx,1\nx,2\n", {}, "row 'x' is there twice"),
        ("c,a,a\nx,1,2\n", {}, "column 'a' is there twice"),
        ("c,a,b\nx,1,oops\ny,1,2\n", {}, "row 'x', column 'b': 'oops' is not a number"),
        ("c,a\nx,1,2\n", {}, "row 2 has 2|row 2 has 3"),
        ("c,a\nx,120\n", {}, "scale of 0 to 100"),
        ("c,a\nx,12\n", {"scale": "fraction"}, "--scale points"),
        ("c,a\nx,12\n", {"scale": "percent"}, "unknown scale"),
        ("c,a\nx,12\n", {"items": {"b": 5}}, "unknown target 'b'"),
        ("c,a\nx,12\n", {"items": {"a": 0}}, "cannot have 0 items"),
        ("c,a\nx,inf\ny,3\n", {}, "is not a number"),
        ('c,a\n"x,1\n', {}, "not a CSV"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, text, how, words):
    with pytest.raises(UsageError, match=words) as error:
        written(tmp_path, text, **how)
    assert "\n" not in str(error.value)


def test_no_table_and_no_text(tmp_path):
    with pytest.raises(UsageError, match="not a CSV"):
        wide.read(tmp_path / "nowhere.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00c,a")
    with pytest.raises(UsageError, match="not a CSV"):
        wide.read(tmp_path / "bytes.csv")


def test_transfer_of_a_published_table(tmp_path):
    text = "c,math,code\nbase,10,20\nmath,44,26\ncode,19,30\nmath>code,40,35\ncode+math,43,33\n"
    (found,) = [
        f for f in findings(wide.results(written(tmp_path, text))) if (f["source"], f["target"]) == ("math", "code")
    ]
    shown = {name: found[name] for name in ("baseline", "transfer", "direct", "sequential", "joint")}
    assert shown == {"baseline": 0.2, "transfer": 0.26, "direct": 0.3, "sequential": 0.35, "joint": 0.33}
    assert found["gain"]["value"] == pytest.approx(0.06)
    assert found["gain"]["low"] is None
    assert "no items" in found["gain"]["reason"]
    counted = findings(wide.results(written(tmp_path, text, items={"code": 2000, "math": 1319})))
    own = next(f for f in counted if f["source"] == f["target"] == "math")
    assert own["gain"]["p"] < 1e-6
    assert own["gain"]["p_holm"] is None
    assert "unpaired" in own["gain"]["method"]
    assert counted[0]["gain"]["tests"] == 2
    assert "math → code" in table.text(counted)


def test_marginal_p_values_of_a_published_matrix():
    """Known from two-proportion z tests of that table: Magicoder helps GSM8K for certain, IMDB not after Holm."""
    data = wide.read(TRAITS, items={t: 1319 if t == "GSM8K" else 2000 for t in wide.read(TRAITS).targets})
    rows = ("base", *(row.removeprefix("lora_") for row in data.rows[1:]))
    renamed = wide.Wide(rows, data.targets, data.values, {}, data.items)
    found = {(f["source"], f["target"]): f["gain"] for f in findings(wide.results(renamed))}
    assert 100 * found["Magicode", "GSM8K"]["value"] == pytest.approx(9.40)
    assert found["Magicode", "GSM8K"]["p_holm"] < 1e-8
    assert found["Flipkart", "GSM8K"]["p_holm"] < 0.05 < found["IMDB", "GSM8K"]["p_holm"]
    assert found["MetaMath", "Magicode"]["p"] == pytest.approx(0.42, abs=0.02)


def test_a_run_becomes_a_table():
    cell = Cell("baseline", "", "sft", "", "t", None, "acc", 0.3, 0.0, 9, "b")
    cells = [
        cell,
        *(Cell("transfer", "a", "sft", "a", "t", s, "acc", v, 0.0, 9, f"{s}") for s, v in ((0, 0.4), (1, 0.6))),
    ]
    found = wide.of(Results({}, cells, [], [], None))
    assert (found.rows, found.targets) == (("base", "a"), ("t",))
    assert found.array().tolist() == [[0.3], [0.5]]
