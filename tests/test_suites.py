"""Suites are the designs of their papers, and a dry run says what they take with neither the hub nor the model."""

import json
from itertools import combinations, permutations
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from xferbench import catalog, estimate
from xferbench.cli import main
from xferbench.errors import UsageError
from xferbench.experiment import from_mapping, spec
from xferbench.size import shape

SUITES = ("proposal", "openthoughts", "grpo-order", "latent-traits", "transferability")


def suite(name):
    return catalog.load().entry("suite", name).value


def design(name):
    return yaml.safe_load(Path(suite(name).experiment).read_text())


def recipes(name):
    """The trainers of a suite with all their settings: [(name, settings), ...] for each recipe."""
    known = catalog.load()
    return [[known.make("trainer", *spec(part)) for part in recipe.split(">")] for recipe in design(name)["trainer"]]


def dry(tmp_path, *arguments):
    done = CliRunner().invoke(main, ["run", "--dry-run", "--json", "--out", str(tmp_path / "runs"), *arguments])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "runs").exists()
    return json.loads(done.stdout)


# Parameters as the models' own pages count them.
@pytest.mark.parametrize(
    ("name", "count"),
    [("proposal", 1_235_814_400), ("openthoughts", 1_235_814_400), ("latent-traits", 3_212_749_824),
     ("grpo-order", 4_022_468_096), ("transferability", 14_768_307_200)],
)  # fmt: skip
def test_the_size_of_a_suites_model_is_that_of_the_model(name, count):
    assert shape(suite(name).shape).parameters == count


def test_the_size_of_a_model_at_hand_is_that_of_its_weights(llama):
    from safetensors import safe_open

    with safe_open(llama / "model.safetensors", "pt") as file:
        held = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    assert shape(json.loads((llama / "config.json").read_text())).parameters == held


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_an_experiment_whose_names_all_exist(name):
    asked, known, one = from_mapping(design(name)), catalog.load(), suite(name)
    assert asked.suite == name
    assert asked.model is None
    for text in asked.source:
        assert one.domains[text] in known.names("domain")  # all that it needs is named, so that `fetch` brings it
    for text in asked.target:
        assert one.targets[text] in known.names("target")
    assert recipes(name)


def test_proposal():
    found, one = design("proposal"), suite("proposal")
    pairs = {("math", "code"), ("math", "physics"), ("code", "math"), ("chemistry", "biology"), ("logic", "law")}
    assert pairs <= {(source, target) for source in found["source"] for target in found["target"]}
    assert set(one.domains) == {"math", "code", "physics", "chemistry", "biology", "logic", "law"}
    assert one.model == "meta-llama/Llama-3.2-1B"
    assert found["conditions"] == ["baseline", "transfer", "direct", "sequential", "joint", "placebo"]
    sft, grpo, both = recipes("proposal")
    assert [one.name for one in (*sft, *grpo, *both)] == ["sft", "grpo", "sft", "grpo"]
    for trainer in (*sft, *grpo, *both):
        assert (trainer.rank, trainer.learning_rate) == (32, 1e-4)
    assert (sft[0].max_steps, sft[0].batch_size * sft[0].accumulate) == (1000, 32)
    assert grpo[0].steps == 1000


def test_openthoughts():
    found, one = design("openthoughts"), suite("openthoughts")
    assert one.model == "meta-llama/Llama-3.2-1B-Instruct"
    known = catalog.load()
    sources = {known.entry("domain", one.domains[name]).value.data["rows"] for name in found["source"]}
    assert sources == {
        f"source = {value}" for value in (
            "ai2-adapt-dev/openmath-2-math", "organic-chemistry-questions", "stackexchange-physics",
            "stackexchange_codegolf", "nvidia/OpenCodeReasoning",
        )
    }  # fmt: skip
    assert [one.targets[name] for name in found["target"]] == ["mmlu_physics", "gpqa"]
    assert {f"math:{p}+science:{q}" for p, q in ((0.2, 0.8), (0.4, 0.6), (0.6, 0.4), (0.8, 0.2))} < set(
        found["curriculum"]
    )
    assert recipes("openthoughts")[0][0].lora


def test_grpo_order():
    found = design("grpo-order")
    four = ("math", "science", "logic", "puzzle")
    asked = set(found["curriculum"])
    assert set(four) | {">".join(pair) for pair in permutations(four, 2)} <= asked
    assert {"+".join(pair) for pair in combinations(four, 2)} <= asked
    assert {">".join(three) for three in permutations(four[:3])} | {"math+science+logic"} <= asked
    assert (suite("grpo-order").model, found["train_limit"]) == ("Qwen/Qwen3-4B-Base", 5000)
    ((grpo,),) = recipes("grpo-order")
    assert (grpo.name, grpo.learning_rate, grpo.k, grpo.weight_decay, grpo.kl, grpo.warmup) == (
        "grpo",
        1e-6,
        8,
        0.1,
        0,
        0.05,
    )
    assert grpo.batch_size * grpo.ahead == 256 * grpo.k  # a batch of 256 prompts
    assert grpo.batch_size == 64 * grpo.k  # in parts of 64
    assert grpo.max_completion == 16384
    assert not grpo.lora


def test_latent_traits():
    found, one = design("latent-traits"), suite("latent-traits")
    assert one.model == "meta-llama/Llama-3.2-3B"
    assert (found["train_limit"], found["eval_limit"]) == (10_000, 2_000)
    ((sft,),) = recipes("latent-traits")
    assert (sft.name, sft.rank, sft.alpha, sft.schedule, sft.target_modules) == ("sft", 64, 32, "cosine", "all-linear")
    learnt = ["metamath", "goat", "magicode", "paws", "mnli", "pile", "flipkart", "amazon", "imdb"]
    assert found["source"] == learnt
    assert set(learnt) - set(found["target"]) == {"metamath", "magicode"}  # GSM8K stands for MetaMath; no judge


def test_transferability():
    found, known = design("transferability"), catalog.load()
    assert suite("transferability").model == "Qwen/Qwen3-14B-Base"
    groups = {known.entry("target", name).value.group for name in found["target"]}
    assert groups == {"math", "other reasoning", "non-reasoning"}
    (sft,), (grpo,) = recipes("transferability")
    assert (sft.learning_rate, sft.epochs, sft.warmup, sft.batch_size * sft.accumulate) == (5e-5, 2, 0.1, 512)
    assert (grpo.learning_rate, grpo.steps, grpo.k, grpo.clip, grpo.clip_high) == (1e-6, 140, 16, 0.2, 0.28)
    assert grpo.batch_size == 512 * grpo.k
    assert not sft.lora
    assert not grpo.lora


def test_a_dry_run_needs_no_hub_and_counts_what_the_design_says(tmp_path):
    found = dry(tmp_path, "--suite", "openthoughts")
    sums = found["estimate"]
    assert sums["model"] == {"name": "meta-llama/Llama-3.2-1B-Instruct", "parameters": 1_235_814_400}
    assert sums["trainings"] == 3 * (5 + 5 + 5)  # seeds x (sources, their placebos, the curricula)
    assert sums["measurements"] == 2 * (1 + 45)
    steps = 2 * (2000 // 16)
    assert sums["steps"] >= 3 * 11 * steps  # sources, placebos, science alone; mixtures keep their shares
    assert sums["tokens"] == sums["steps"] * 16 * 4096
    assert 0 < sums["gpu_memory_gb"] < 80
    assert sums["dollars"] == pytest.approx(3 * sums["hours"], abs=0.02)
    assert any("only the catalogue was looked at" in note for note in found["notes"])
    assert not any(step["done"] for step in found["steps"])


def test_flags_take_the_place_of_lines_of_the_design(tmp_path):
    asked = ("--suite", "openthoughts", "--model", "meta-llama/Llama-3.2-1B-Instruct", "--source", "math")
    found = dry(tmp_path, *asked, "--target", "gpqa", "--gpu", "a100:1.5")
    titles = [step["title"] for step in found["steps"]]
    assert len(found["steps"]) == 1 + 3 * 2 + 3 * 2 + 3  # baseline; trainings, measurements; scorers
    assert all("openthoughts3/openmath-2-math" in title for title in titles if title.startswith("train"))
    assert found["estimate"]["model"]["parameters"] == 1_235_814_400
    assert found["estimate"]["gpu"] == {"name": "a100", "memory_gb": 80, "dollars_an_hour": 1.5}


def test_what_is_not_known_is_said_and_not_made_up(tmp_path):
    asked = ("--suite", "openthoughts", "--model", "someone/else", "--source", "math", "--target", "gpqa")
    found = dry(tmp_path, *asked)["estimate"]
    assert (found["model"]["parameters"], found["hours"], found["dollars"], found["gpu_memory_gb"]) == (None,) * 4
    assert found["unknown"] == ["the size of someone/else: its memory and hours"]


def test_a_gpu_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="did you mean 'h100'"):
        estimate.gpu("h10")
    with pytest.raises(UsageError, match="--gpu takes NAME or NAME:DOLLARS"):
        estimate.gpu("h100:cheap")


def test_what_sft_foretells_is_what_transformers_counts():
    """Steps of an epoch are batches over accumulation, rounded up, as transformers' Trainer reckons them."""
    known = catalog.load()
    for n, batch, accumulate, epochs in ((100, 16, 1, 2), (100, 16, 4, 1.5), (5, 8, 1, 1)):
        sft = known.make("trainer", "sft", {"batch_size": batch, "accumulate": accumulate, "epochs": epochs})
        batches = len(range(0, n, batch))
        per_epoch = len(range(0, batches, accumulate))
        assert sft.effort(n)["steps"] == -(-int(epochs * per_epoch * 2) // 2)
