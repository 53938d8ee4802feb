"""lm-eval's tasks as targets: the scores are lm-eval's own, item by item, and the process is left as it was."""

import dataclasses
import random
from collections import Counter

import numpy as np
import pytest
import torch

from xferbench import Checkpoint, DataError, LmEvalTask, PluginError, UsageError, load
from xferbench.lmeval import stock, stock_target

GENERATE = """
task: tiny_generate
custom_dataset: !function tiny_items.load
output_type: generate_until
test_split: test
doc_to_text: "Is {{number}} odd or even?"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 8}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def model(request):
    """One architecture without and one with a chat template."""
    return load(Checkpoint(str(request.getfixturevalue(request.param))))


@pytest.fixture(scope="module")
def plain(llama):
    return load(Checkpoint(str(llama)))


@pytest.fixture
def pick(world):
    return LmEvalTask("tiny/pick", str(world.folder / "tiny_pick.yaml"))


@pytest.fixture
def yaml(world, tmp_path):
    """Write a task beside its Python."""

    def write(text, name="task.yaml"):
        (tmp_path / "tiny_items.py").write_text((world.folder / "tiny_items.py").read_text())
        (tmp_path / name).write_text(text)
        return LmEvalTask("tiny/made", str(tmp_path / name))

    return write


def lm_evals_own(model, path, **more):
    """Ask lm-eval itself, in its own way: from the model's folder and the task's folder."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": model.checkpoint.base, "dtype": "float32", "device": "cpu"},
        tasks=[str(path)],
        task_manager=TaskManager(include_defaults=False),
        batch_size=4,
        bootstrap_iters=0,
        apply_chat_template=model.tokenizer.chat_template is not None,
        log_samples=True,
        **more,
    )
    (samples,) = found["samples"].values()
    return sorted(samples, key=lambda row: row["doc_id"])


def test_choices_score_item_by_item_as_lm_evals_own(model, pick, world):
    ours = pick.measure(model, None)
    theirs = lm_evals_own(model, world.folder / "tiny_pick.yaml")
    assert [item.score for item in ours.items] == [row["acc"] for row in theirs]
    assert [item.prompt for item in ours.items] == [row["prompt_hash"][:16] for row in theirs]
    assert ours.n == 12
    assert ours.value == pytest.approx(np.mean([row["acc"] for row in theirs]))


def test_generations_score_item_by_item_as_lm_evals_own(model, yaml, tmp_path):
    target = yaml(GENERATE)
    ours = target.measure(model, 4)
    theirs = lm_evals_own(model, tmp_path / "task.yaml", limit=4)
    assert [item.score for item in ours.items] == [row["exact_match"] for row in theirs]
    assert (ours.metric, ours.n) == ("exact_match", 4)
    written = target.answers(model, 4)
    assert tuple(item for item, _, _ in written) == ours.items
    assert [text for _, _, text in written] == [row["resps"][0][0] for row in theirs]
    assert [question for _, question, _ in written] == list(target.questions())[:4]


def test_a_process_loads_a_task_once_and_again_when_its_file_has_changed(yaml):
    target = yaml(GENERATE)
    first = target._build()
    assert target._build() is first
    assert dataclasses.replace(target, num_fewshot=1)._build() is not first
    assert yaml(GENERATE.replace("odd or even?", "even or odd?"))._build() is not first


def test_the_standard_error_is_that_of_the_mean_of_the_items(plain, pick):
    found = pick.measure(plain, None)
    scores = [item.score for item in found.items]
    assert found.stderr == pytest.approx(np.std(scores, ddof=1) / np.sqrt(len(scores)))


def test_the_same_question_twice_is_two_items(plain, pick):
    keys = Counter((item.id, item.prompt) for item in pick.measure(plain, None).items)
    assert max(keys.values()) == 1
    assert sum(item_id.endswith("#2") for item_id, _ in keys) == 1


def test_the_questions_are_the_items_by_id_with_their_answers(plain, pick):
    asked = list(pick.questions())
    assert [item.id.removesuffix("#2") for item in pick.measure(plain, None).items] == [one.id for one in asked]
    assert (asked[1].prompt, asked[1].answer) == ("Is 41 odd or even?", "odd")
    with pytest.raises(UsageError, match="its answers are chosen"):
        pick.answers(plain, 3)


def test_items_hold_no_text_of_the_benchmark(plain, pick):
    assert not [item for item in pick.measure(plain, 3).items if "odd" in item.id + item.prompt]


def test_a_limit_takes_the_first_items_under_the_same_ids(plain, pick):
    assert pick.measure(plain, 3).items == pick.measure(plain, None).items[:3]


def test_items_are_drawn_at_random_the_same_for_every_checkpoint(plain, pick):
    whole = {item.id: item.score for item in pick.measure(plain, None).items}
    found = {}
    for draw, seed, limit in ((5, 0, None), (5, 0, 2), (3, 0, None), (5, 1, None), (12, 0, None)):
        target = dataclasses.replace(pick, draw=draw, draw_seed=seed)
        items = target.measure(plain, limit).items
        assert {item.id: item.score for item in items}.items() <= whole.items(), "each item scores as among all"
        assert [name for name, _ in target.texts(limit)] == [item.id for item in items]
        found[draw, seed, limit] = Counter(item.id.partition("#")[0] for item in items)  # one question is there twice
    places = random.Random("items 0").sample(range(12), 12)
    names = [name.partition("#")[0] for name in whole]
    assert found[5, 0, None] == Counter(names[place] for place in places[:5])
    assert found[5, 0, None] != Counter(names[:5])
    assert found[3, 0, None] < found[5, 0, None] != found[5, 1, None]
    assert found[5, 0, 2] < found[5, 0, None]
    assert found[12, 0, None] == Counter(names)
    assert dataclasses.replace(pick, draw_seed=3).fingerprint() == pick.fingerprint() != target.fingerprint()
    with pytest.raises(UsageError, match="has 12 items, and draw=13 asks for more"):
        dataclasses.replace(pick, draw=13).measure(plain, None)
    with pytest.raises(UsageError, match="draw takes a whole number above 0"):
        dataclasses.replace(pick, draw=0)


def test_few_shot_examples_change_the_prompts_and_are_the_same_every_time(plain, pick):
    two = dataclasses.replace(pick, num_fewshot=2)
    assert two.measure(plain, 3) == two.measure(plain, 3)
    assert {item.prompt for item in two.measure(plain, 3).items}.isdisjoint(
        item.prompt for item in pick.measure(plain, 3).items
    )


def test_a_schedulers_variables_do_no_harm_and_are_kept(plain, pick, monkeypatch):
    before = pick.measure(plain, 3)
    for key, value in {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(key, value)
    assert pick.measure(plain, 3) == before
    import os

    assert os.environ["LOCAL_RANK"] == "1"


def test_a_call_asks_no_other_program_about_the_machine(plain, pick, monkeypatch):
    """lm-eval ends each call with a report, by pip, git and the compiler, that nobody here reads."""
    asked = []
    monkeypatch.setattr("subprocess.Popen.__init__", lambda self, line, *_, **__: asked.append(line))
    assert pick.measure(plain, 2).n == 2
    assert not asked


def test_the_global_generators_and_the_models_mode_are_left_as_they_were(llama, pick):
    found = load(Checkpoint(str(llama)))
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    pick.measure(found, 2)
    pick.check(found.tokenizer, found.context, 2)
    pick.queries(2)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert not found.network.training


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: [\n", "task.yaml is not valid YAML"),
        (GENERATE.replace("tiny_items.load", "nowhere.load"), "task task.yaml cannot be loaded"),
        (GENERATE.replace("tiny_items.load", "tiny_items.absent"), "task task.yaml cannot be loaded"),
        (GENERATE.replace("generate_until", "guess"), "task.yaml"),
        (GENERATE.replace("test_split", "tset_split"), "task.yaml"),
    ],
    ids=["yaml", "module", "function", "output", "key"],
)
def test_a_broken_task_is_named_with_the_cause(yaml, plain, text, said):
    with pytest.raises((PluginError, DataError, UsageError)) as caught:
        yaml(text).measure(plain, 1)
    assert said in str(caught.value)
    assert "tiny/made" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_file_that_is_not_there_isnamed(plain, tmp_path):
    with pytest.raises(PluginError, match=r"target x: no such task file .*absent\.yaml"):
        LmEvalTask("x", str(tmp_path / "absent.yaml")).measure(plain, 1)


def test_data_that_needs_the_hub_says_so_when_offline(yaml, plain):
    text = GENERATE.replace("custom_dataset: !function tiny_items.load", "dataset_path: nobody/none_such")
    with pytest.raises(DataError, match="nobody/none_such is not on this machine and HF_HUB_OFFLINE is set"):
        yaml(text).check(plain.tokenizer, 256, None)


HUB = GENERATE.replace("custom_dataset: !function tiny_items.load", "dataset_path: maker/quiz").replace(
    "tiny_gen", "q_"
)


@pytest.mark.parametrize(
    ("rows", "change", "said"),
    [
        ([{"number": 1, "answer": "odd"}], ("", ""), None),
        ([{"no": 1, "answer": "odd"}], ("", ""), "maker/quiz has no column 'number'; did its maker rename it?"),
        ([{"number": 1, "answer": "odd"}], ("test_split: test", "test_split: exam"), "maker/quiz has no split 'exam'"),
        ([], ("", ""), "target tiny/made has no items: the split of maker/quiz that it asks is empty"),
    ],
    ids=["whole", "column", "split", "empty"],
)
def test_data_that_have_changed_on_the_hub_are_told_in_one_line(yaml, plain, tmp_path, monkeypatch, rows, change, said):
    import datasets

    folder = tmp_path / "hub" / "maker" / "quiz"
    folder.mkdir(parents=True)
    features = datasets.Features({name: datasets.Value("string") for name in (rows or [{"number": 1, "answer": 2}])[0]})
    made = datasets.Dataset.from_dict({name: [str(row[name]) for row in rows] for name in features}, features=features)
    made.to_parquet(folder / "test-00000-of-00001.parquet")
    monkeypatch.setenv("XFERBENCH_HUB", str(tmp_path / "hub"))
    target = yaml(HUB.replace(*change))
    if said is None:
        target.check(plain.tokenizer, 256, None)
        return
    with pytest.raises(DataError) as caught:
        target.check(plain.tokenizer, 256, None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_item_that_does_not_fit_is_refused_with_the_counts(plain, pick):
    pick.check(plain.tokenizer, 256, None)
    with pytest.raises(
        DataError, match=r"target tiny/pick: 24 of 24 requests need up to \d+ tokens, the model takes 4:"
    ):
        pick.check(plain.tokenizer, 4, None)
    with pytest.raises(DataError, match=r"fewer examples in the prompt \(tiny/pick:num_fewshot=0\)"):
        dataclasses.replace(pick, num_fewshot=5).check(plain.tokenizer, 4, None)


def test_the_room_for_the_answer_is_counted(plain, yaml):
    target = yaml(GENERATE.replace("max_gen_toks: 8", "max_gen_toks: 250"))
    with pytest.raises(DataError, match="2 of 2 requests"):
        target.check(plain.tokenizer, 256, 2)


def test_an_unknown_metric_or_filter_answers_with_the_known_ones(plain, pick):
    with pytest.raises(UsageError, match=r"unknown metric of tiny/pick 'accc'; did you mean 'acc'\?"):
        dataclasses.replace(pick, metric="accc").measure(plain, 2)
    with pytest.raises(UsageError, match=r"unknown filter of tiny/pick 'x'"):
        dataclasses.replace(pick, filter="x").measure(plain, 2)


def test_queries_are_questions_with_answers_and_not_those_of_the_test(pick):
    found = pick.queries(4)
    assert [one.prompt for one in found] == [f"Is {n} odd or even?" for n in range(10, 14)]
    assert [one.answer for one in found] == ["even", "odd", "even", "odd"]
    assert len(pick.queries(None)) == 6


def test_the_fingerprint_sees_the_yaml_the_code_beside_it_and_the_settings(yaml, tmp_path):
    target = yaml(GENERATE)
    seen = {target.fingerprint()}
    seen.add(dataclasses.replace(target, num_fewshot=1).fingerprint())
    seen.add(yaml(GENERATE + "# changed\n").fingerprint())
    (tmp_path / "tiny_items.py").write_text("# changed")
    seen.add(target.fingerprint())
    yaml("task: base\n", "base.inc")
    seen.add(yaml(GENERATE + "include: base.inc\n").fingerprint())
    yaml("task: other\n", "base.inc")
    seen.add(target.fingerprint())
    assert len(seen) == 6


def test_the_fingerprint_sees_the_files_of_a_folder_that_stands_in_for_the_hub(yaml, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "maker" / "quiz"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XFERBENCH_HUB", str(tmp_path / "hub"))
    target = yaml(HUB)
    elsewhere = dataclasses.replace(target, data={"id": "maker/other"})
    seen = [target.fingerprint()]
    for rows in ("1", "2"):
        (folder / "test.jsonl").write_text(rows)
        seen.append(target.fingerprint())
    yaml(HUB, "base.yaml")
    included = yaml("include: base.yaml\ntask: derived\n")
    seen.append(included.fingerprint())
    (folder / "test.jsonl").write_text("3")
    seen.append(included.fingerprint())
    assert len(set(seen)) == 5
    before = dataclasses.replace(elsewhere, task=included.task).fingerprint()
    (tmp_path / "hub" / "maker" / "other").mkdir()
    (tmp_path / "hub" / "maker" / "other" / "test.jsonl").write_text("1")
    assert dataclasses.replace(elsewhere, task=included.task).fingerprint() != before, "read by the task's own code"


def test_the_fingerprint_does_not_see_where_the_task_lies(yaml, world, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in world.folder.glob("tiny_[ip]*.*"):
        (elsewhere / path.name).write_bytes(path.read_bytes())
    here = yaml((world.folder / "tiny_pick.yaml").read_text(), "tiny_pick.yaml")
    assert dataclasses.replace(here, task=str(elsewhere / "tiny_pick.yaml")).fingerprint() == here.fingerprint()


def test_every_stock_task_is_a_target_by_its_own_name():
    known = stock()
    assert {"gsm8k", "arc_easy", "hellaswag"} <= set(known)
    found = stock_target("lmeval:gsm8k")
    assert (found.name, found.task) == ("lmeval:gsm8k", "gsm8k")
    assert found.fingerprint() == stock_target("lmeval:gsm8k").fingerprint()


def test_an_unknown_stock_task_answers_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown lm-eval task 'gsm8kk'; did you mean 'gsm8k'\?"):
        stock_target("lmeval:gsm8kk")


def test_the_option_chosen_is_the_one_that_was_scored(plain, pick):
    found = pick.measure(plain, None)
    assert [float(one.chosen == one.truth) for one in found.outputs] == [item.score for item in found.items]
    assert [one.truth for one in found.outputs] == ["even", "odd"] * 5 + ["even", "even"]
    assert {one.length for one in found.outputs} == {None}
    first = len(plain.tokenizer("Is 40 odd or even?")["input_ids"])
    assert found.outputs[0].asked == first


def test_what_was_generated_has_a_length_and_a_class(plain, yaml):
    target = yaml(GENERATE)
    found = target.measure(plain, None)
    theirs = lm_evals_own(plain, target.task)
    for one, row in zip(found.outputs, theirs, strict=True):
        written = row["resps"][0][0].strip()
        assert one.length == len(plain.tokenizer(written, add_special_tokens=False)["input_ids"])
        assert one.truth == row["target"]
        assert one.chosen == (written if written in ("odd", "even") else None)
    named = dataclasses.replace(target, classes=lambda doc, text: ("long" if len(text) > 3 else "short", "long"))
    assert {one.truth for one in named.measure(plain, 2).outputs} == {"long"}


def test_classes_are_there_only_where_right_answers_are_few_and_come_again():
    from xferbench.lmeval.classes import named

    assert named(["Yes ", "perhaps", "no"] * 2, ["yes", "no", "no"] * 2)[:3] == [
        ("yes", "yes"),
        (None, "no"),
        ("no",) * 2,
    ]
    assert named(["1", "2"], ["1", "2"]) == [(None, None)] * 2
    assert named(["x"] * 6, ["y" * 40] * 6) == [(None, None)] * 6
