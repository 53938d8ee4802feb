"""A step's identity is its content: the same everywhere, another one as soon as anything that counts changes."""

import dataclasses
import json
import subprocess
import sys

import pytest

from xferbench.steps import Attribute, Base, Data, Evaluate, Named, Train, from_json, to_json

BASE = Base("m", "/somewhere/m", "f" * 64)
SFT = Named("sft", {"rank": 8, "learning_rate": 1e-4}, "xferbench 0.1.0")
MATH = Data("mini/math", 10, "a" * 64, "xferbench 0.1.0, 1")
CODE = Data("mini/code", 10, "b" * 64, "xferbench 0.1.0, 1")
PICK = Named("pick", {"metric": None, "fingerprint": "c" * 64}, "xferbench 0.1.0, 1")
COSINE = Named("cosine", {}, "xferbench 0.1.0")
LIBRARIES = {"torch": "2.13.0"}
FIRST = Train(BASE, None, SFT, (MATH,), 0, LIBRARIES)
SECOND = Train(BASE, FIRST, SFT, (CODE,), 0, LIBRARIES)
MEASURED = Evaluate(BASE, SECOND, PICK, 5, LIBRARIES)
SCORED = Attribute(BASE, FIRST, COSINE, MATH, PICK, 64, LIBRARIES)
EVERY = [FIRST, SECOND, MEASURED, SCORED, Evaluate(BASE, None, PICK, None, LIBRARIES)]


def other(step, **changes):
    return dataclasses.replace(step, **changes).id


def test_ids_are_the_same_in_another_process():
    code = "import json,sys; from xferbench.steps import from_json; print(from_json(json.load(sys.stdin)).id)"
    for seed in ("0", "1"):
        shown = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(to_json(MEASURED)),
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.strip() == MEASURED.id


def test_ids_say_the_kind_and_nothing_of_the_order_of_settings():
    assert FIRST.id.startswith("train-")
    assert MEASURED.id.startswith("evaluate-")
    assert SCORED.id.startswith("attribute-")
    assert other(FIRST, trainer=Named("sft", dict(reversed(SFT.settings.items())), SFT.version)) == FIRST.id


@pytest.mark.parametrize(
    "changes",
    [
        {"base": Base("m", "/somewhere/m", "0" * 64)},
        {"start": FIRST},
        {"trainer": Named("sft", {"rank": 8, "learning_rate": 2e-4}, SFT.version)},
        {"trainer": Named("sft", SFT.settings, "xferbench 0.2.0")},
        {"trainer": Named("grpo", SFT.settings, SFT.version)},
        {"data": (dataclasses.replace(MATH, fingerprint="9" * 64),)},
        {"data": (dataclasses.replace(MATH, n=11),)},
        {"data": (dataclasses.replace(MATH, treatment="shuffled"),)},
        {"data": (dataclasses.replace(MATH, version="xferbench 0.1.0, 2"),)},
        {"data": (MATH, CODE)},
        {"seed": 1},
        {"libraries": {"torch": "2.14.0"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_training_is_another_when_anything_that_counts_changes(changes):
    assert other(FIRST, **changes) != FIRST.id


@pytest.mark.parametrize(
    "changes",
    [
        {"train": None},
        {"limit": None},
        {"target": Named("pick", {"metric": "acc", "fingerprint": "c" * 64}, PICK.version)},
        {"target": Named("pick", {"metric": None, "fingerprint": "d" * 64}, PICK.version)},
        {"libraries": {}},
    ],
)
def test_an_evaluation_is_another_when_anything_that_counts_changes(changes):
    assert other(MEASURED, **changes) != MEASURED.id


@pytest.mark.parametrize(
    "changes", [{"train": SECOND}, {"scorer": Named("dot", {}, COSINE.version)}, {"data": CODE}, {"queries": 32}]
)
def test_an_attribution_is_another_when_anything_that_counts_changes(changes):
    assert other(SCORED, **changes) != SCORED.id


@pytest.mark.parametrize("step", EVERY, ids=lambda step: step.id)
def test_where_the_model_lies_and_what_it_is_called_do_not_count(step):
    assert other(step, base=Base("another name", "/elsewhere", BASE.fingerprint)) == step.id


def test_an_id_changes_when_the_training_beneath_it_does():
    first = dataclasses.replace(FIRST, seed=7)
    second = dataclasses.replace(SECOND, start=first)
    assert second.id != SECOND.id
    assert other(MEASURED, train=second) != MEASURED.id


@pytest.mark.parametrize("step", EVERY, ids=lambda step: step.id)
def test_json_holds_all_it_takes_to_do_a_step_again(step):
    again = from_json(json.loads(json.dumps(to_json(step))))
    assert again.id == step.id
    assert to_json(again) == to_json(step)
    assert again.title == step.title


def test_settings_in_a_list_or_a_tuple_are_the_same_setting():
    listed, tupled = (Named("sft", {"modules": kind(["q", "v"])}, "1") for kind in (list, tuple))
    assert other(FIRST, trainer=listed) == other(FIRST, trainer=tupled)


def test_curricula_and_recipes_are_written_as_people_type_them():
    assert FIRST.curriculum == "mini/math"
    assert SECOND.curriculum == "mini/math>mini/code"
    assert Train(BASE, None, SFT, (CODE, MATH), 0).curriculum == "mini/code+mini/math"
    assert dataclasses.replace(MATH, treatment="shuffled").label == "mini/math~shuffled"
    again = Train(BASE, FIRST, Named("grpo", {}, "1"), (MATH,), 0)
    assert (again.curriculum, again.recipe) == ("mini/math", "sft>grpo")
    assert Train(BASE, again, SFT, (CODE,), 0).curriculum == "mini/math>mini/code"


def test_a_step_needs_what_lies_beneath_it():
    assert FIRST.needs == ()
    assert SECOND.needs == (FIRST,)
    assert MEASURED.needs == (SECOND,)
