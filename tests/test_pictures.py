"""Figures that can be read: nothing is cut off or lies over what it belongs to, and no two things look the same."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from xferbench.analyse import cost, figure, inputs, lengths, matrix, training
from xferbench.analyse.figure import stack
from xferbench.results import Cell

GAIN = {"value": 0.3, "low": 0.1, "high": 0.5}


@pytest.fixture
def drawn(monkeypatch):
    """Call a `draw` and return the figure that it would have saved, laid out."""

    def call(module, *found):
        kept = []
        for place in (module, figure):
            monkeypatch.setattr(place, "save", lambda made, path: kept.append(made), raising=False)
        module.draw(*found, None)
        kept[0].draw_without_rendering()
        return kept[0]

    return call


def test_labels_of_costs_lie_inside_the_figure_and_its_numbers_apart(drawn):
    per = {key: {"value": 281_000.0, "low": -119_000.0, "high": 444_000.0} for key in cost.UNITS}
    rows = [{"curriculum": "mini/logic~shuffled", "target": "mini/gpqa", "recipe": "sft", "gain": GAIN, "per": per}]
    made = drawn(cost, rows)
    for axis in made.axes:
        label = axis.xaxis.label.get_window_extent()
        assert made.bbox.x0 <= label.x0
        assert label.x1 <= made.bbox.x1
        boxes = [text.get_window_extent() for text in axis.get_xticklabels()]
        assert all(one.x1 + 3 < other.x0 for one, other in pairwise(boxes))
        assert any(text.get_text().endswith("k") for text in axis.get_xticklabels())


def test_the_legend_of_a_matrix_lies_on_no_axis_and_names_what_only_a_later_row_has(drawn):
    none = {"value": None, "low": None}
    row = {"reason": None, "recipe": "sft", "sources": ["a", "b"], "own": {}, "donors": {"a": GAIN, "b": GAIN}}
    made = drawn(matrix, [{**row, "recipients": {"a": none, "b": GAIN}}])
    assert made.axes[0].get_legend() is None
    (legend,) = made.legends
    assert [text.get_text() for text in legend.get_texts()] == ["gives to others", "takes from others"]
    assert legend.get_window_extent().y1 <= made.axes[0].get_tightbbox().y0


@pytest.mark.parametrize(
    ("metric", "values", "scale"),
    [
        ("loss", (3.0, 0.01), "log"), ("loss", (3.0, 0.01, 0.0), "log"), ("loss", (3.0, 1.0), "linear"),
        ("loss", (3.0, -0.01), "linear"), ("reward", (1.0, 0.01), "linear"), ("loss", (0.0, 0.0), "linear"),
    ],
)  # fmt: skip
def test_losses_that_span_more_than_a_factor_of_ten_have_a_logarithmic_axis(drawn, metric, values, scale):
    names = {"trainer": "sft", "recipe": "sft", "metric": metric, "domain": None, "over": "step"}
    curves = []
    for place, value in enumerate(values):
        points = {"x": [1, 2], "y": [value, value]}
        seeds = [{"seed": 0, "step": "s", **points}]
        curves.append({**names, "curriculum": f"c{place}", "seeds": seeds, "mean": {**points, "n": [1, 1]}})
    assert drawn(training, {"curves": curves, "reason": None}).axes[0].get_yscale() == scale


def test_no_two_curricula_share_a_colour_and_the_legend_lies_below_and_says_how_many_are_left_out():
    nine = np.arange(9.0)
    group = [
        SimpleNamespace(about={"curriculum": f"c{i}"}, base_length=nine, length=nine[None], learnt=4.0)
        for i in range(8)
    ]  # fmt: skip
    made, (axis,) = stack([4.5])
    lengths.panel(axis, group)
    made.draw_without_rendering()
    shown = [line for line in axis.get_lines() if line.get_label().startswith("c")]
    assert len({line.get_color() for line in shown}) == len(shown) == 6
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == ["untrained", *(f"c{i}" for i in range(6)), "(2 more not shown)"]
    assert axis.get_legend().get_window_extent().y1 < axis.xaxis.label.get_window_extent().y0


def test_outcomes_are_named_in_words():
    made, (axis,) = stack([2.7])
    spread = {"n": 3.0, "mean": 4.0, "quartiles": [3.0, 4.0, 5.0]}
    inputs.panel(axis, {"class": "A", "outcomes": dict.fromkeys(("tp", "fn", "fp", "tn"), spread)})
    made.draw_without_rendering()
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == ["TP: found (3)", "FN: missed (3)", "FP: called (3)", "TN: left (3)"]
    assert "found, missed: items of the class" in axis.get_xlabel()


def test_no_line_runs_through_a_number_of_the_findings():
    cells = {"baseline": {None: Cell("baseline", "", "", "", "t", None, "acc", 0.4, 0.01, 100, "s")}}
    names = dict.fromkeys(figure.CONDITIONS)
    finding = {**names, "baseline": 0.4, "transfer": 0.7, "gain": GAIN, "label": "strong"}
    made, (axis,) = stack([2.0])
    figure._panel(axis, {**finding, "source": "s", "target": "t", "recipe": "sft"}, cells)
    made.draw_without_rendering()
    above = min(text.get_zorder() for text in axis.texts)
    assert len(axis.texts) == 2
    assert all(text.get_bbox_patch().get_facecolor() == (1.0, 1.0, 1.0, 1.0) for text in axis.texts)
    assert all(line.get_zorder() < above for line in axis.get_lines())


def test_a_long_recipe_is_broken_behind_its_commas_and_its_rows_are_as_high_as_their_lines():
    from xferbench.analyse.figure import lines, room

    found = lines("math (sft:learning_rate=0.05,epochs=1.0,batch_size=4)")
    assert found == "math\n(sft:learning_rate=0.05,\nepochs=1.0,batch_size=4)"
    assert lines("a,b, c") == "a,b, c"
    assert room(["math", "code"], 0.34) == 2 * 0.34
    assert room([found, "math"], 0.34) == 2 * (0.06 + 3 * 0.13)
