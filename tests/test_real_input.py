"""Public data as it is: GSM8K and PubMedQA from a folder laid out as on the hub, with models of two architectures."""

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import TEMPLATE, make_model, printed, within

from xferbench import catalog
from xferbench.analyse.schema import SCHEMA
from xferbench.cli import main

SMALL = ("--trainer", "sft:max_steps=2,batch_size=2,learning_rate=1e-3,max_length=1024", "--train-limit", "8")
SMALL += ("--eval-limit", "4", "--seeds", "0", "--conditions", "transfer", "--scorer", "vocabulary")
SMALL += ("--executor", "inline")


@pytest.fixture
def inside_hub(hub, monkeypatch):
    monkeypatch.chdir(hub)
    catalog.load.cache_clear()
    yield catalog.load()
    catalog.load.cache_clear()


@pytest.fixture
def run(hub, world, monkeypatch, tmp_path):
    """Do `xferbench run` beside the data, with all plugins and in this very process, which loads the libraries once."""
    monkeypatch.chdir(hub)
    with within(world, ""):
        yield lambda *asked: CliRunner().invoke(main, ["run", *map(str, asked), "--out", str(tmp_path / "runs")])


@pytest.fixture
def domain(inside_hub):
    def get(name):
        found = inside_hub.entry("domain", name).value
        return found, list(found.examples())

    return get


def test_gsm8k_has_its_7473_problems(domain):
    found, examples = domain("gsm8k")
    assert len(examples) == found.data["n"] == 7473
    assert len({one.id for one in examples}) == 7473
    assert not any("<<" in one.answer for one in examples)
    assert all(one.prompt.startswith("Question: ") and "####" in one.answer for one in examples)


def test_pubmedqa_has_the_500_questions_that_are_not_the_test(domain):
    from xferbench_tasks.pubmedqa import test_ids

    found, examples = domain("pubmedqa")
    assert len(examples) == found.data["n"] == 500
    assert not {one.id.removeprefix("pubmedqa-") for one in examples} & test_ids()
    assert {one.answer.strip() for one in examples} == {"yes", "no", "maybe"}


@pytest.mark.parametrize("name", ["gsm8k", "pubmedqa"])
def test_a_reward_is_1_for_ones_own_answer_and_0_for_anothers(domain, name):
    found, examples = domain(name)
    for one in examples:
        assert found.reward(one, one.answer) == 1.0, one.id
    by_answer = {found.reward(one, other.answer) for one in examples[:40] for other in examples[:40] if one != other}
    assert by_answer <= {0.0, 1.0}
    if name == "gsm8k":
        last = [one.answer.rsplit("####", 1)[1].strip() for one in examples[:200]]
        for one, number in zip(examples, last):
            for other in examples[:200]:
                same = other.answer.rsplit("####", 1)[1].strip() == number
                assert found.reward(one, other.answer) == float(same)
    else:
        for one in examples[:40]:
            for word in ("yes", "no", "maybe"):
                assert found.reward(one, f" {word}") == float(one.answer.strip() == word)
    assert found.reward(examples[0], "") == 0.0
    assert found.reward(examples[0], "I do not know") == 0.0


def test_the_target_pubmedqa_has_the_official_500(inside_hub, llama):
    target = inside_hub.entry("target", "pubmedqa").value
    task = target._build()
    rows = list(task.test_docs())
    assert len(rows) == 500
    assert {row["id"] for row in rows} == {
        row["pubid"] if isinstance(row["pubid"], str) else str(row["pubid"]) for row in rows
    }


@pytest.mark.parametrize(
    ("architecture", "template"), [("llama", None), ("qwen2", TEMPLATE), ("gpt2", None)], ids=["llama", "qwen2", "gpt2"]
)
def test_gsm8k_to_pubmedqa_with_any_architecture(run, tmp_path, architecture, template):
    model = make_model(tmp_path / "model", architecture, template, context=4096)
    done = run("--source", "gsm8k", "--target", "pubmedqa", "--model", model, *SMALL, "--json")
    assert done.exit_code == 0, done.stderr
    found = printed(done)
    jsonschema.validate(found, SCHEMA)
    cells = {cell["condition"]: cell for cell in found["cells"]}
    assert {name: (cell["n"], cell["metric"]) for name, cell in cells.items()} == {
        "baseline": (4, "acc"),
        "transfer": (4, "acc"),
    }
    assert found["model"]["name"] == str(model)


def test_a_stock_task_is_a_target_by_its_own_name(run, tmp_path):
    model = make_model(tmp_path / "model", "llama", context=2048)
    asked = ("--source", "gsm8k", "--target", "lmeval:gsm8k:num_fewshot=0", "--model", model, *SMALL)
    done = run(*asked, "--eval-limit", "2", "--json")
    assert done.exit_code == 0, done.stderr
    found = printed(done)
    assert {cell["target"] for cell in found["cells"]} == {"lmeval:gsm8k:num_fewshot=0"}
    assert {(cell["n"], cell["metric"]) for cell in found["cells"]} == {(2, "exact_match")}


def test_a_model_with_too_short_a_context_is_refused_before_training(run, tmp_path):
    model = make_model(tmp_path / "model", "llama", context=128)
    done = run("--source", "gsm8k", "--target", "pubmedqa", "--model", model, *SMALL)
    assert done.exit_code == 2
    assert "requests need up to" in done.stderr
    assert "the model takes 128" in done.stderr
    assert not list(tmp_path.rglob("step.json"))
