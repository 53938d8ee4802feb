"""What is learnt from: the same draw every time, and a placebo in which nobody keeps their own answer."""

import random
from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xferbench import DataError, Domain, Example, PluginError, UsageError
from xferbench.draw import draw, fingerprint
from xferbench.treatments import shuffled


def numbers(n, **keep):
    return [Example(f"e{i}", f"prompt {i}", f"answer {i}", **keep) for i in range(n)]


def domain(n=50, **more):
    return Domain("d", lambda: iter(numbers(n)), **more)


def test_the_draw_is_the_same_every_time_whatever_the_global_generator_did():
    random.seed(1)
    first = draw(domain(), 10)
    random.seed(2)
    assert draw(domain(), 10) == first
    assert len({one.id for one in first}) == 10


def test_a_sorted_data_set_is_sampled_and_not_cut():
    assert [one.id for one in draw(domain(1000), 10)] != [one.id for one in numbers(10)]


def test_a_stream_gives_its_first_ones_and_may_be_endless():
    def endless():
        return (Example(f"e{i}", "p", "a") for i in count())

    found = draw(Domain("d", endless, stream=True), 5)
    assert [one.id for one in found] == ["e0", "e1", "e2", "e3", "e4"]
    with pytest.raises(UsageError, match="--train-limit"):
        draw(Domain("d", endless, stream=True), None)


def test_no_limit_takes_all_and_so_does_a_limit_of_all():
    assert {one.id for one in draw(domain(7), None)} == {one.id for one in numbers(7)}
    assert draw(domain(7), 7) == draw(domain(7), None)


@given(st.integers(1, 20), st.integers(0, 20))
def test_a_smaller_draw_is_the_beginning_of_a_larger(n, more):
    assert draw(domain(40), n) == draw(domain(40), n + more)[:n]


def test_an_example_is_marked_with_its_domain_unless_it_names_one():
    assert {one.domain for one in draw(domain(3), None)} == {"d"}
    assert {one.domain for one in draw(Domain("d", lambda: numbers(3, domain="own")), None)} == {"own"}


def test_too_few_is_an_error_and_never_fewer():
    with pytest.raises(DataError, match="50 examples at most; 51 were asked for"):
        draw(domain(), 51)


def test_a_stream_that_ends_too_early_is_an_error():
    with pytest.raises(DataError, match="3 examples at most; 4 were asked for"):
        draw(domain(3, stream=True), 4)


def test_an_empty_domain_is_an_error():
    with pytest.raises(DataError, match="domain d has no examples"):
        draw(domain(0), None)


@pytest.mark.parametrize(("wrong", "said"), [(("", "a"), "empty prompt"), (("p", " \n"), "empty answer")])
def test_an_example_with_nothing_to_learn_is_an_error(wrong, said):
    with pytest.raises(DataError, match=f"example x has an {said}"):
        draw(Domain("d", lambda: [Example("x", *wrong)]), None)


def test_two_examples_of_one_id_are_the_plugins_fault():
    with pytest.raises(PluginError, match="same id"):
        draw(Domain("d", lambda: [*numbers(3), *numbers(1)]), None)


def test_what_is_no_example_is_the_plugins_fault():
    with pytest.raises(PluginError, match="not an Example"):
        draw(Domain("d", lambda: ["text"]), None)
    with pytest.raises(PluginError, match="example e: id, prompt and answer are texts, not 42"):
        draw(Domain("d", lambda: [Example("e", "6 times 7?", 42)]), None)


def test_a_generator_that_raises_is_named_with_the_cause():
    def broken():
        yield Example("a", "p", "a")
        raise KeyError("column")

    with pytest.raises(PluginError, match=r"domain d: examples\(\) failed: KeyError: 'column'"):
        draw(Domain("d", broken), None)


def test_an_error_of_our_own_kind_keeps_its_kind():
    def gated():
        raise DataError("x is gated")
        yield

    with pytest.raises(DataError, match=r"^x is gated$"):
        draw(Domain("d", gated), None)


@given(st.integers(2, 60), st.integers(0, 99))
def test_shuffled_moves_every_answer_and_loses_none(n, seed):
    before = numbers(n)
    after = shuffled(before, seed)
    assert [(one.id, one.prompt) for one in after] == [(one.id, one.prompt) for one in before]
    assert all(a.answer != b.answer for a, b in zip(after, before, strict=True))
    assert Counter(one.answer for one in after) == Counter(one.answer for one in before)


def test_shuffled_is_the_same_every_time():
    assert draw(domain(), 10, "shuffled") == draw(domain(), 10, "shuffled")


def test_the_placebo_has_the_very_examples_of_the_treatment():
    assert {one.id for one in draw(domain(), 10, "shuffled")} == {one.id for one in draw(domain(), 10)}


def test_the_fingerprint_sees_ids_prompts_answers_and_their_order():
    one = numbers(3)
    assert fingerprint(one) == fingerprint(numbers(3))
    changed = [
        one[::-1],
        one[:2],
        [*one[:2], Example("e2", "prompt 2", "no")],
        [*one[:2], Example("x", "prompt 2", "answer 2")],
    ]
    assert len({fingerprint(examples) for examples in [one, *changed]}) == 5
