"""The table of four: pairs go where their domain and statistics say, means and p-values are those of a naive count."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from xferbench.analyse import effects, wide
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

ABOUT = {
    "a": {"domain": "x", "length": 10.0}, "b": {"domain": "x", "length": 100.0},
    "c": {"domain": "y", "length": 12.0}, "d": {"domain": "y", "length": 90.0},
}  # fmt: skip
TABLE = Path(__file__).parent.parent / "leaderboards" / "published" / "latent_traits_table1.csv"


def measured(gains):
    cells = [Cell("baseline", "", "", "", t, None, "acc", 0.4, 0.0, 50, "b") for t in {t for _, t in gains}]
    for (source, target), gain in gains.items():
        cells.append(Cell("transfer", source, "sft", source, target, 0, "acc", 0.4 + gain, 0.0, 50, "x"))
    return Results({}, cells, [], [], None)


GAINS = {key: gain / 100 for key, gain in zip(itertools.product("abcd", "abcd"), range(-5, 11), strict=True)}


def test_pairs_are_sorted_and_averaged_as_by_hand(tmp_path):
    found = effects.effects(measured(GAINS), ABOUT)
    json.dumps(found, allow_nan=False)
    for one in found["corners"]:
        mine = [
            gain for (s, t), gain in GAINS.items()
            if (ABOUT[s]["domain"] == ABOUT[t]["domain"]) == (one["domain"] == "same")
            and (abs(np.log2(ABOUT[s]["length"] / ABOUT[t]["length"])) <= 1) == (one["statistics"] == "similar")
        ]  # fmt: skip
        assert one["cells"] == len(mine) == 4
        assert one["mean"] == pytest.approx(np.mean(mine))
        assert one["harmed"] == np.mean(np.array(mine) <= -0.01)
        assert one["low"] <= one["mean"] <= one["high"]
    assert found["unknown"] == []
    assert "similar - different statistics" in effects.text(found)
    effects.draw(found, tmp_path / "effects.png")


def test_the_p_value_is_that_of_all_relabelled_sources():
    found = effects.effects(measured(GAINS), ABOUT)["differences"][0]
    names = "abcd"

    def gap(order):
        same, other = [], []
        for i, t in itertools.product(range(4), names):
            place = same if ABOUT[names[i]]["domain"] == ABOUT[t]["domain"] else other
            place.append(GAINS[names[order[i]], t])
        return np.mean(same) - np.mean(other)

    every = [abs(gap(order)) for order in itertools.permutations(range(4))]
    assert found["value"] == pytest.approx(gap(range(4)))
    assert found["p"] == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-12))
    assert found["p_floor"] == pytest.approx(1 / 24)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({}, "nothing is known of a"),
        ({"a": {"domain": "x", "length": ""}, "b": {"domain": "x", "length": 2.0}}, "length of a is not known"),
    ],
)
def test_what_is_not_known_is_left_out_with_a_reason(about, why):
    found = effects.effects(measured({("a", "b"): 0.1}), about)
    assert found["unknown"][0]["reason"] == why
    assert {one["mean"] for one in found["corners"]} == {None}
    assert found["differences"][0]["reason"] == "all pairs are of one kind"
    assert why in effects.text(found)
    with pytest.raises(UsageError, match="nothing to draw"):
        effects.draw(found, Path("none.png"))


def test_one_source_has_means_and_no_interval():
    found = effects.effects(measured({("a", "a"): 0.1, ("a", "d"): -0.1}), ABOUT)
    json.dumps(found, allow_nan=False)
    assert found["corners"][0]["mean"] == pytest.approx(0.1)
    assert "takes 4 sources" in found["corners"][0]["reason"]
    assert "nothing to relabel" in found["differences"][0]["reason"]
    assert "nothing to relabel" in effects.text(found)


def test_a_run_knows_domains_and_lengths_itself():
    cells = measured({("m/a", "t"): 0.1, ("m/b", "t"): 0.0}).cells
    cells = [Cell(**{**vars(cell), "step": f"e-{cell.curriculum}"}) for cell in cells]
    cells.append(Cell("direct", "m/a", "sft", "m/a", "t", 0, "acc", 0.5, 0.0, 50, "e-m/a"))
    steps = [{"id": f"e-{name}", "recipe": {"train": f"t-{name}"}} for name in ("m/a", "m/b")]
    steps += [
        {"id": "t-m/a", "recipe": {}, "answer_tokens": 10.0},
        {"id": "t-m/b", "recipe": {}, "answer_tokens": 40.0},
    ]
    found = effects.effects(Results({"own_domains": {"t": "m/a"}}, cells, [], [], None, steps=steps))
    placed = {(c["domain"], c["statistics"]): [p["source"] for p in c["pairs"]] for c in found["corners"]}
    assert placed[("same", "similar")] == ["m/a"]
    assert placed[("different", "different")] == ["m/b"]


def test_the_published_table_has_the_examples_of_the_paper(tmp_path):
    about = tmp_path / "about.csv"
    about.write_text(
        "name,domain,answers\nMetaMath,math,long\nGSM8K,math,long\nGoat,math,short\nMagicode,code,long\n"
        "Flipkart,sentiment,short\nAmazon,sentiment,short\nIMDB,sentiment,short\nPile,toxicity,short\n"
        "PAWS,paraphrase,short\nMNLI,inference,short\nMNLI_E,inference,short\n"
    )
    table = tmp_path / "table.csv"
    lines = TABLE.read_text().replace("base_llama3.2_3b_zeroshot", "base").replace("lora_", "").splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("fewshot")))
    found = effects.effects(wide.results(wide.read(table)), effects.read(about))
    assert found["unknown"] == []
    placed = {
        (pair["source"], pair["target"]): (one["domain"], one["statistics"], pair["gain"])
        for one in found["corners"] for pair in one["pairs"]
    }  # fmt: skip
    # the paper's own examples (Table 2), with the gains of its Table 1
    assert placed["Magicode", "GSM8K"] == ("different", "similar", pytest.approx(0.0940))
    assert placed["MetaMath", "Magicode"] == ("different", "similar", pytest.approx(-0.0105))
    assert placed["MetaMath", "Flipkart"] == ("different", "different", pytest.approx(-0.1745))
    assert placed["IMDB", "IMDB"] == ("same", "similar", pytest.approx(0.4000))


def test_a_table_without_statistics_is_refused(tmp_path):
    path = tmp_path / "about.csv"
    for text in ("name,domain\na,x\n", "", "name,length\na,1\n"):
        path.write_text(text)
        with pytest.raises(UsageError, match="at least one statistic"):
            effects.read(path)
    with pytest.raises(UsageError, match="not a CSV"):
        effects.read(tmp_path / "none.csv")
