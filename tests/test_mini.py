"""The mini world: the generators keep their word, and the tests load."""

import ast
import contextlib
import io
import itertools
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

import xferbench_mini
from xferbench import DataError
from xferbench_mini import gpqa
from xferbench_mini.drills import document
from xferbench_mini.family import SPLITS, Family, examples, final, problems, reward, side, skills
from xferbench_mini.skills import SKILLS
from xferbench_mini.worlds import FAMILIES, TARGETS, overlap, queries, stream, take, taught
from xferbench_tasks import WORDINGS

TASKS = Path(__file__).parent.parent / "tasks" / "mini"
EACH = [pytest.param(family, id=f"{name}-{family.name}") for name, families in TARGETS.items() for family in families]


def drawn(family: Family, n: int = 400) -> list:
    rng = Random(family.name)
    return [family.problem(rng) for _ in range(n)]


def named(domain: str, name: str) -> Family:
    return next(family for family in FAMILIES[domain] if family.name == name)


@pytest.mark.parametrize("family", EACH)
def test_declared_skills_are_the_skills_used(family):
    used = frozenset().union(*(problem.skills for problem in drawn(family)))
    assert used == family.skills <= SKILLS.keys()


@pytest.mark.parametrize("family", EACH)
def test_every_numeric_step_is_true_and_leads_to_the_answer(family):
    for problem in drawn(family):
        for step in problem.steps:
            if "=" not in step or step.startswith("n="):
                continue
            left, _, right = step.removeprefix("hold ").rpartition("=")
            assert re.fullmatch(r"[\d+\-*/>]+|((not|and|or|True|False) ?)+", left), step
            assert eval(left) == ast.literal_eval(right), step
        if problem.answer.isdigit() and family.name != "large":
            assert problem.steps[-1].endswith(f"={problem.answer}")


@pytest.mark.parametrize("family", EACH)
def test_numbers_stay_where_the_drills_are(family):
    for step in (step for problem in drawn(family) for step in problem.steps):
        if found := re.fullmatch(r"(\d+)([*/+-])(\d+)=(-?\d+)", step):
            a, b, c = int(found[1]), int(found[3]), int(found[4])
            assert 0 <= c <= 800, step
            if found[2] == "*":
                assert min(a, b) <= 12, step
            elif found[2] == "/":
                assert 2 <= b <= 12, step


def test_code_prints_what_the_answer_says():
    for problem in islice(problems(FAMILIES["code"], "train", "exec"), 500):
        program = problem.question.split("\n", 1)[1]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        assert printed.getvalue().strip() == problem.answer


def test_math_expressions_evaluate_to_the_answer():
    found = 0
    for problem in islice(problems(FAMILIES["math"], "train", "eval"), 500):
        if match := re.fullmatch(r"Compute (.+)\.", problem.question):
            assert eval(match[1]) == int(problem.answer)
            found += 1
        elif problem.question.startswith("Find the sum"):
            assert sum(map(int, re.findall(r"\d+", problem.question))) == int(problem.answer)
            found += 1
    assert found > 200


def test_orders_and_races_agree_with_what_is_told():
    for family in (named("logic", "order"), named("puzzle", "race")):
        for problem in drawn(family):
            line = problem.steps[-1].split()[2::2]
            told = re.findall(
                r"(\w+) (?:is )?(older than|younger than|taller than|shorter than|beats|loses to) (\w+)",
                problem.question,
            )
            assert len(told) == len(line) - 1
            for a, relation, b in told:
                first = relation in ("older than", "taller than", "beats")
                assert (line.index(a) < line.index(b)) == first
            place = re.search(r"(first|second|third|fourth)", problem.question.split("Who")[1])
            index = ("first", "second", "third", "fourth").index(place[1]) if place else 0
            assert problem.answer == line[index]


def test_logic_agrees_with_what_is_told():
    for problem in drawn(named("logic", "truth")):
        told = re.fullmatch(r"\w+ says (.+)\. \w+ says (.+)\. Does each hold\?", problem.question).groups()
        assert problem.answer == " ".join(str(eval(statement)) for statement in told)
    for problem in drawn(named("logic", "joined")):
        told = re.findall(r"says ([^.]+)\.", problem.question)
        assert problem.answer == " ".join(str(from_the_left(statement.split())) for statement in told)
    for problem in drawn(named("logic", "compare")):
        a, b, c, d = map(int, re.findall(r"\d+", problem.question))
        assert problem.answer == f"{a > b} {c > d}"
    for problem in drawn(named("logic", "totals")):
        a, b, c, d = map(int, re.findall(r"\d+", problem.question))
        one, other = re.findall(r"(\w+) has \d", problem.question)
        assert problem.answer == (f"{one} {a + b}" if a + b > c + d else f"{other} {c + d}")


def from_the_left(words):
    value = words[0] == "True"
    for word, other in zip(words[1::2], words[2::2], strict=True):
        value = (value and other == "True") if word == "and" else (value or other == "True")
    return value


def test_guessed_numbers_fit_the_story():
    signs = {"multiplies": "*", "divides": "/", "adds": "+", "subtracts": "-"}
    for problem in drawn(named("puzzle", "guess")):
        value = float(problem.answer)
        for verb, number in re.findall(r"(multiplies|divides|adds|subtracts) (?:by )?(\d+)", problem.question):
            value = eval(f"{value} {signs[verb]} {number}")
        assert value == pytest.approx(float(re.search(r"gets (\d+)", problem.question)[1]))


def test_rewriting_follows_its_rules():
    acts = {
        "swap": lambda w: w[1] + w[0] + w[2:],
        "rotate": lambda w: w[1:] + w[:1],
        "reverse": lambda w: "".join(reversed(w)),
        "tail": lambda w: w[:-2] + w[:-3:-1],
    }
    for problem in islice(problems(FAMILIES["rewrite"], "train", "rules"), 300):
        match = re.fullmatch(r"Take ([a-h ]+?) and (.+)\. What do you get\?", problem.question)
        word = match[1].replace(" ", "")
        for rule in match[2].split(", then "):
            word = acts[rule](word)
        assert " ".join(word) == problem.answer


def test_alchemy_follows_its_facts():
    """What an operation makes of a colour is the same wherever it is written, and no two colours become one."""
    facts = {}
    for problem in islice(problems(FAMILIES["alchemy"], "train", "facts"), 600):
        match = re.fullmatch(r"The [a-z]+ is ([a-z]+): (.+)\. What colour now\?", problem.question)
        colour = match[1]
        operations = [part.removesuffix(" it") for part in match[2].split(", ")]
        assert [step.split()[0] for step in problem.steps] == operations
        for step in problem.steps:
            operation, becomes = step.split()
            assert facts.setdefault((operation, colour), becomes) == becomes != colour
            colour = becomes
        assert colour == problem.answer
    assert len(facts) == 6 * 8
    assert all(len({facts[one] for one in facts if one[0] == name}) == 8 for name, _ in facts)
    for first, second in itertools.permutations({name for name, _ in facts}, 2):
        assert any(facts[second, facts[first, c]] != facts[first, facts[second, c]] for _, c in facts)


@pytest.mark.parametrize("name", TARGETS)
def test_streams_repeat_nothing_and_split_by_content(name):
    sides = {split: take(name, split, 500) for split in SPLITS}
    prompts = [example.prompt for found in sides.values() for example in found]
    assert len(set(prompts)) == 1500
    assert len({example.id for found in sides.values() for example in found}) == 1500
    assert all(
        example.prompt.startswith("Question: ") and example.prompt.endswith("\nAnswer:") for example in sides["test"]
    )
    if name != "gpqa":
        for split, found in sides.items():
            assert {side(e.prompt.removeprefix("Question: ").removesuffix("\nAnswer:")) for e in found} == {split}


def test_the_same_in_every_process():
    program = (
        "import hashlib; from xferbench_mini.worlds import TARGETS, take\n"
        "from xferbench_mini.drills import document; from random import Random; rng = Random(1)\n"
        "text = repr([take(t, 'train', 50) for t in TARGETS]) + repr([document(rng) for _ in range(300)])\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop()) == 65


def test_pretraining_never_reads_a_test_question():
    held = {
        example.prompt for name in FAMILIES for split in ("validation", "test") for example in take(name, split, 500)
    }
    held |= {
        p.question
        for split in ("validation", "test")
        for p in islice(problems(gpqa.FAMILIES, split, "mini/gpqa 1"), 500)
    }
    rng = Random(0)
    for _ in range(5000):
        prompt = document(rng)[0][0]
        assert prompt not in held
        assert prompt.removeprefix("Question: ").partition(" A) ")[0] not in held


def test_reward_knows_right_from_wrong():
    for name in FAMILIES:
        one, other = take(name, "train", 2)
        right = final(one.answer)
        assert reward(one, one.answer) == reward(one, f" #### {right}\nQuestion: more") == 1.0
        assert reward(one, f" #### {right}0 #### {right} ") == 1.0
        for wrong in ("", right, " ####", f" #### {right}1", f" #### {right} #### x"):
            assert reward(one, wrong) == 0.0
        assert reward(one, other.answer) == float(final(other.answer) == right)


def test_an_unknown_split_is_named():
    for ask in (lambda: list(stream("math")("dev")), lambda: take("gpqa", "dev", 3)):
        with pytest.raises(DataError, match=r"'dev'.*train, validation, test"):
            ask()


def test_a_family_that_runs_dry_ends_its_stream():
    def tiny(rng, work):
        a, b = rng.randint(1, 9), rng.randint(1, 9)
        return f"{a} and {b}?", work.add(a, b)

    family = Family("tiny", tiny, skills("add"))
    everything = [e for split in SPLITS for e in examples("mini/tiny", [family], split)]
    assert len(everything) == 81
    with pytest.raises(DataError, match="has no target 'tiny'"):
        queries("tiny", 3)


def test_asking_for_more_than_there_is_says_how_much_there_is(monkeypatch):
    monkeypatch.setitem(TARGETS, "logic", (FAMILIES["logic"][-1],))
    monkeypatch.setattr("xferbench_mini.worlds.FAMILIES", {**FAMILIES, "logic": (FAMILIES["logic"][-1],)})
    monkeypatch.setattr("xferbench_mini.family.PATIENCE", 20)
    with pytest.raises(DataError, match=r"mini/logic has \d+ questions in split 'test': 1000000 were asked for"):
        take("logic", "test", 1_000_000)


def test_queries_are_validation_questions_with_worked_answers():
    for name in TARGETS:
        found = queries(name, 20)
        assert len(found) == 20
        assert all(reward(example, example.answer) == 1.0 for example in found)
        assert not {e.id for e in found} & {e.id for e in take(name, "test", 500)}


def test_gpqa_has_one_right_option_and_it_may_stand_anywhere():
    asked = list(islice(gpqa.items("test"), 500))
    for problem in asked:
        assert len(set(problem.options)) == 4
        assert problem.options.count(problem.answer) == 1
        letter = "ABCD"[problem.options.index(problem.answer)]
        assert f"{letter}) {problem.answer}" in problem.question
        assert gpqa.right(problem.worked, problem.answer, problem.options)
        assert gpqa.right(f" #### {letter}", problem.answer, problem.options)
        wrong = [option for option in problem.options if option != problem.answer]
        assert not any(gpqa.right(f" #### {option}", problem.answer, problem.options) for option in wrong)
    places = Counter(problem.options.index(problem.answer) for problem in asked)
    assert all(90 <= places[place] <= 160 for place in range(4)), places
    ranks = Counter(sorted(map(int, p.options)).index(int(p.answer)) for p in asked)
    assert all(80 <= ranks[rank] <= 190 for rank in range(4)), "the size of an option gives the right one away"


def test_overlap_is_what_the_declarations_say():
    assert all(overlap(name, name) == 1.0 for name in FAMILIES)
    for alone in ("rewrite", "alchemy"):
        assert all(overlap(alone, name) == 0.0 for name in TARGETS if name != alone)
        assert all(overlap(name, alone) == 0.0 for name in FAMILIES if name != alone)
    assert 0 < overlap("math", "science") < overlap("science", "math")
    assert overlap("science", "gpqa") == 1.0 > overlap("math", "gpqa") > overlap("logic", "gpqa")
    assert not taught("math") & {"recall", "atoms"}


def test_the_card_of_the_world_has_the_tables_of_the_code():
    text = (TASKS.parents[1] / "docs" / "mini.md").read_text(encoding="utf-8")
    rows = [
        f"| {name} | {f.name} | {', '.join(sorted(f.skills))} | {f.weight} | {f.seen} | {f.worked} |"
        for name, families in TARGETS.items()
        for f in families
    ]
    rows += [
        f"| {source} | {' | '.join(f'{overlap(source, target):.2f}' for target in TARGETS)} |" for source in FAMILIES
    ]
    assert [row for row in rows if row not in text.splitlines()] == []
    assert len(re.findall(r"^\| [a-z]+ \| [a-z]+ \| [a-z, ]+ \| [\d.]+ \|", text, re.M)) == len(rows) - len(FAMILIES)


def other_words(wording, prompt):
    """One question of gpqa in another wording, made without the YAML."""
    bare, options = re.fullmatch(r"Question: (.*) (A\) .*)\nAnswer:", prompt).groups()
    forms = {"options": "Question: {} Options: {}", "problem": "Problem: {} {}", "reversed": "Question: {1} {0}"}
    return forms[wording].format(bare, options) + "\nAnswer:"


def test_yaml_loads_by_name_and_by_path():
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=[str(TASKS)], include_defaults=False)
    paths = sorted(TASKS.glob("mini_*.yaml"))
    worded = [f"gpqa_{name}" for name in ("robust", *WORDINGS)]
    assert {path.stem for path in paths} == {f"mini_{name}" for name in [*TARGETS, *worded]}
    assert manager.load([paths[0].stem])["tasks"].keys() == {paths[0].stem}
    for path in paths:
        task = manager.load([str(path)])["tasks"][path.stem]
        docs = list(task.test_docs())
        assert len(docs) == len({doc["id"] for doc in docs}) == len({doc["prompt"] for doc in docs}) == 500
        shown = [task.doc_to_text(doc) for doc in docs[:3]]
        if "include:" in path.read_text():
            assert shown == [other_words(path.stem.removeprefix("mini_gpqa_"), doc["prompt"]) for doc in docs[:3]]
        else:
            assert shown == [doc["prompt"] for doc in docs[:3]]
        assert set(task.process_results(docs[0], [docs[0]["answer"]]).values()) == {1.0}
        assert set(task.process_results(docs[0], [" #### no"]).values()) == {0.0}


def test_importing_the_plugin_is_light():
    program = "import sys, xferbench_mini; list(xferbench_mini.provide_domains()); print('torch' in sys.modules)"
    env = {"PYTHONPATH": ":".join(sys.path)}
    said = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
    suite = next(iter(xferbench_mini.provide_suites()))
    assert set(suite.targets) == set(TARGETS)
    assert set(suite.domains) == set(FAMILIES)
