"""What a careless author gives back: refused with the plugin's name and what is wrong, not stored or passed."""

import json
import math
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from xferbench import Checkpoint, Domain, Example, Item, LmEvalTask, Measurement, PluginError, hookimpl, load
from xferbench import catalog as catalogs
from xferbench.catalog import Catalog, Plugin
from xferbench.contract import domain as domain_checks
from xferbench.contract import target as target_checks
from xferbench.draw import draw
from xferbench.errors import DataError
from xferbench.evaluate import evaluate
from xferbench.testing import Row, _tried, table
from xferbench.train import train
from xferbench.work import _within

GOOD = Measurement("acc", 0.5, 0.1, 2, (Item("a", "hash a", 0.0), Item("b", "hash b", 1.0)))


def scored(*scores):
    return tuple(replace(item, score=score) for item, score in zip(GOOD.items, scores, strict=True))


def target(measured):
    return SimpleNamespace(
        name="mine", version="1", group="g", domain=None, fingerprint=lambda: "f", measure=measured,
        queries=lambda limit: [Example("q", "a?", "b")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (0.5, "measure() must give a Measurement"),
        (replace(GOOD, value=0.9), "its value 0.9 is not the mean of its items, 0.5"),
        (replace(GOOD, items=scored(math.nan, 1.0)), "item a: its score is nan, not a finite float"),
        (replace(GOOD, items=scored(0.0, "1")), "item b: its score is '1', not a finite float"),
        (replace(GOOD, stderr=None), "its stderr is None, not a float"),
        (replace(GOOD, items=tuple(replace(item, id=3) for item in GOOD.items)), "item 3: its id"),
        (replace(GOOD, outputs=({"asked": 1},) * 2), "an output is {'asked': 1}, not an Output"),
        (replace(GOOD, items=(GOOD.items[0],) * 2, value=0.0), "two items have the same id and prompt"),
    ],
)
def test_a_measurement_that_could_not_be_compared_is_refused(made, said):
    with pytest.raises(PluginError) as refused:
        evaluate(None, target(lambda model, limit: made), None)
    assert f"target mine: {said}" in str(refused.value)


def test_a_target_that_ignores_the_limit_is_refused_and_a_good_one_is_not():
    kept = target(lambda model, limit: GOOD)
    assert evaluate(None, kept, 2) == GOOD
    with pytest.raises(PluginError, match="2 items where the first 1 were asked for"):
        evaluate(None, kept, 1)


def provided(**hooks):
    """A catalog of one plugin whose hooks return these values."""
    catalog = Catalog([], {kind: {} for kind in catalogs.KINDS})
    module = ModuleType("mine")
    for name, value in hooks.items():
        setattr(module, name, hookimpl(lambda value=value: value, specname=name))
    catalogs.add(catalog, Plugin("mine", "mine", "1", "mine"), module)
    return catalog


def states(checks):
    return {what: row for what, check in checks for row in [_tried("kind", "mine", what, check)]}


def test_the_check_sees_a_target_that_changes_the_network(llama):
    model = load(Checkpoint(str(llama)))

    def measured(moved, limit):
        moved.network.train()
        return GOOD

    for measure, state in ((lambda model, limit: GOOD, "PASS"), (measured, "FAIL")):
        catalog = SimpleNamespace(make=lambda *_, m=measure: target(m), names=lambda kind: [])
        rows = states(target_checks("mine", catalog, model, None))
        assert rows["measures, one score an item, and leaves the network as it was"].state == state
    assert rows["the same every time"].state == "SKIP"


def test_a_reward_may_punish_and_may_not_be_above_1():
    def checked(wrong):
        made = Domain("mine", examples, lambda example, said: 1.0 if said == example.answer else wrong)
        return states(domain_checks("mine", provided(provide_domains=[made]), None, None))[
            "the reward tells right from wrong"
        ]

    def examples():
        yield Example("a", "What?", "this")

    assert checked(-1.0).state == "PASS"
    assert "is 2.0, not a float of at most 1" in checked(2.0).note


def test_ids_are_texts():
    with pytest.raises(PluginError, match="example 7: id, prompt and answer are texts, not 7"):
        draw(Domain("mine", lambda: [Example(7, "a?", "b")]), None)


def test_a_file_that_a_target_names_and_is_not_there_is_named(tmp_path):
    task = tmp_path / "task.yaml"
    task.write_text("task: mine\n")
    with pytest.raises(DataError, match=r"target mine: .*gone.jsonl cannot be read: No such file"):
        LmEvalTask("mine", str(task), sources=(str(tmp_path / "gone.jsonl"),)).fingerprint()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("elsewhere", "is not in the folder `out` that it was given"),
        ("nothing", "a checkpoint that cannot be loaded: model folder .* does not exist"),
        ("no tokenizer", "has no tokenizer"),
        ("no adapter", "there is no folder"),
        ("log", "line 2 of its training.jsonl is no JSON object"),
    ],
)
def test_a_training_that_left_no_checkpoint_of_its_own_is_refused(fault, said, llama, tmp_path):
    out = tmp_path / "out"
    out.mkdir()

    class Mine:
        name = "mine"

        def train(self, start, examples, reward, out, seed):
            made = tmp_path / "elsewhere" if fault == "elsewhere" else out / "model"
            if fault == "no adapter":
                return Checkpoint(start.base, str(out / "adapter"))
            if fault != "nothing":
                model = load(start)
                model.network.save_pretrained(made)
                if fault != "no tokenizer":
                    model.tokenizer.save_pretrained(made)
            (out / "training.jsonl").write_text(json.dumps({"loss": 1.0}) + "\n[1]\n")
            return Checkpoint(str(made))

    with pytest.raises(PluginError, match=f"trainer mine.*{said}"):
        train(Mine(), Checkpoint(str(llama)), [], None, out, 0)


def test_an_adapter_on_the_model_of_an_earlier_step_is_found_again_when_the_store_was_moved(tmp_path):
    steps = tmp_path / "steps"
    assert _within(str(steps / "train-b" / "adapter"), steps / "train-b") == "adapter"
    assert _within(str(steps / "train-a" / "model"), steps / "train-b") == "../train-a/model"
    assert _within("/models/base", steps / "train-b") == "/models/base"


def test_the_table_of_a_check_has_one_line_a_row():
    rows = [Row("target", "mine", "measures", "FAIL", "a long story " * 20)]
    assert len(table(rows).splitlines()) == 5


def test_code_that_was_changed_beneath_the_same_version_is_told_and_does_nothing_again(light, feather, tmp_path):
    def told(results):
        return [note for note in results.run["notes"] if "was changed since" in note]

    first = light(tmp_path)
    assert told(first) == []
    place = feather.folder / "feather.py"
    text = place.read_text()
    place.write_text(f"{text}\n# another word\n")
    try:
        again = light(tmp_path)
    finally:
        place.write_text(text)
    (note,) = told(again)
    assert note.startswith(f"feather-world was changed since it did {len(first.steps)} of these steps")
    assert again.steps == first.steps
    assert told(light(tmp_path)) == []
