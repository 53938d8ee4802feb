"""Public data as it is: GSM8K and PubMedQA from a folder laid out as on the hub, with models of two architectures."""

import dataclasses
import json
import subprocess
import sys

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import ROOT, TEMPLATE, environment, items, make_model, printed, within

from xferbench import UsageError, catalog
from xferbench.analyse.schema import SCHEMA
from xferbench.cli import main

SMALL = ("--trainer", "sft:max_steps=2,batch_size=2,learning_rate=1e-3,max_length=1024", "--train-limit", "8")
SMALL += ("--eval-limit", "4", "--seeds", "0", "--conditions", "transfer", "--scorer", "vocabulary")
SMALL += ("--executor", "inline")


@pytest.fixture
def inside_hub(hub, monkeypatch):
    monkeypatch.chdir(hub)
    catalog.loaded.cache_clear()
    yield catalog.load()
    catalog.loaded.cache_clear()


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


LM_EVAL = """
import functools, lm_eval.tasks  # without the index of all tasks, which takes many seconds
lm_eval.tasks.TaskManager = functools.partial(lm_eval.tasks.TaskManager, include_defaults=False)
from lm_eval.__main__ import cli_evaluate
cli_evaluate()
"""
FOUR = ("gsm8k", "pubmedqa", "logiqa", "humaneval")


def knowing(folder):
    """Make a Llama that ends every word problem with 18 and every function with one line: each right now and then."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_model(folder, "llama", context=4096)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder)
    said = {"Question: how many?\nAnswer:": "#### 18", '    """\n': "    return number % 1.0"}
    tokenizer.add_tokens(list(said.values()))
    network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        embedding, head = network.get_input_embeddings().weight, network.get_output_embeddings().weight
        embedding.mul_(50)  # what a token means outweighs what the random layers add to it
        for prompt, answer in said.items():
            last, next_ = tokenizer(prompt)["input_ids"][-1], tokenizer.convert_tokens_to_ids(answer)
            head[next_] += embedding[last] / embedding[last].norm()
            head[tokenizer.eos_token_id] += embedding[next_] / embedding[next_].norm()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def lm_evals_scores(hub, model, adapter, out):
    """{target: the scores in the order of the items} from lm-eval's own command line on the same YAML."""
    asked = ["run", "--model", "hf", "--model_args", f"pretrained={model},peft={adapter},dtype=float32,max_length=4096"]
    asked += ["--tasks", ",".join(str(ROOT / "tasks" / f"{name}.yaml") for name in FOUR), "--device", "cpu"]
    asked += ["--batch_size", "32", "--limit", "4", "--log_samples", "--output_path", str(out)]
    command = [sys.executable, "-c", LM_EVAL, *asked, "--confirm_run_unsafe_code"]
    env = environment({"HF_ALLOW_CODE_EVAL": "1"})
    done = subprocess.run(command, capture_output=True, text=True, cwd=hub, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for name, metric in zip(FOUR, ("exact_match", "acc", "acc", "pass@1")):
        (path,) = out.rglob(f"samples_xferbench_{name}_*.jsonl")
        rows = sorted(map(json.loads, path.read_text().splitlines()), key=lambda row: row["doc_id"])
        found[name] = {row["prompt_hash"][:16]: row[metric] for row in rows}
    return found


def test_four_kinds_of_target_score_item_by_item_as_lm_evals_own_command_line(hub, xferbench, tmp_path):
    model = knowing(tmp_path / "model")
    asked = ("--source", "gsm8k", "--target", ",".join(FOUR), "--model", model, "--out", tmp_path / "runs", *SMALL[:-2])
    done = xferbench("run", *asked, "--hub", hub, "--allow-code-execution", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = {(c["condition"], c["target"]): c for c in json.loads(done.stdout)["cells"]}
    assert set(cells) == {(condition, target) for condition in ("baseline", "transfer") for target in FOUR}
    (adapter,) = (tmp_path / "runs" / "steps").glob("train-*/adapter")
    theirs = lm_evals_scores(hub, model, adapter, tmp_path / "theirs")
    kept = items(tmp_path / "runs")
    for target in FOUR:
        cell = cells["transfer", target]
        rows = map(json.loads, kept[f"{cell['step']}.jsonl.gz"].splitlines())
        ours = {row["prompt"]: row["score"] for row in rows}
        assert ours == theirs[target]
        assert cell["value"] == sum(ours.values()) / 4
    assert [list(theirs[name].values()) for name in ("gsm8k", "humaneval")] == [[1, 0, 0, 0], [0, 0, 1, 0]]


def test_code_of_a_model_is_not_run_before_the_user_allows_it(monkeypatch):
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    said = "target humaneval runs code that the model writes, in a sandbox: --allow-code-execution .* allows it"
    with pytest.raises(UsageError, match=said):
        catalog.load().entry("target", "humaneval").value.check(None, 4096, None)


def test_a_task_that_runs_code_without_a_sandbox_is_refused(hub, monkeypatch):
    monkeypatch.setenv("XFERBENCH_HUB", str(hub))
    bare = dataclasses.replace(catalog.load().entry("target", "humaneval").value, runs_code=False)
    with pytest.raises(UsageError, match="humaneval runs what the model writes without a sandbox: never done here"):
        bare.check(None, 4096, None)
