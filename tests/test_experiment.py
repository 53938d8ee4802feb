"""An experiment as typed: on flags or in YAML, what is wrong is refused with the nearest right name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xferbench.errors import UsageError
from xferbench.experiment import CONDITIONS, Experiment, from_mapping, read, spec, split, text

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
FULL = st.one_of(NAMES, st.builds("{}/{}".format, NAMES, NAMES))
VALUE = st.from_regex(r"[a-z0-9.\-]{1,6}", fullmatch=True)
SETTINGS = st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUE, min_size=1, max_size=3)


@st.composite
def recipes(draw):
    name = draw(NAMES)
    settings = draw(st.one_of(st.just({}), SETTINGS))
    return name + (":" + ",".join(f"{k}={v}" for k, v in settings.items()) if settings else "")


def lists(values):
    return st.lists(values, min_size=1, max_size=3, unique=True).map(tuple)


EXPERIMENTS = st.builds(
    Experiment,
    source=lists(FULL),
    target=lists(FULL),
    suite=NAMES,
    model=st.one_of(st.none(), FULL),
    trainer=lists(recipes()),
    conditions=lists(st.sampled_from(CONDITIONS)),
    scorer=lists(NAMES),
    seeds=lists(st.integers(0, 10**6)),
    train_limit=st.one_of(st.none(), st.integers(1, 10**6)),
    eval_limit=st.one_of(st.none(), st.integers(1, 10**6)),
    jobs=st.one_of(st.none(), st.integers(1, 64)),
)


@given(EXPERIMENTS)
def test_an_experiment_survives_its_yaml(tmp_path_factory, asked):
    path = tmp_path_factory.mktemp("yaml") / "experiment.yaml"
    path.write_text(text(asked), encoding="utf-8")
    assert from_mapping(read(path)) == asked


@given(st.lists(recipes(), min_size=1, max_size=4))
def test_joining_and_splitting_at_commas_is_the_identity(parts):
    assert split(",".join(parts)) == parts


@given(NAMES, SETTINGS)
def test_a_name_with_settings_is_read_back(name, settings):
    assert spec(name + ":" + ",".join(f"{k}={v}" for k, v in settings.items())) == (name, settings)


def test_flags_as_typed():
    found = from_mapping({"source": "math, code", "target": "gpqa", "seeds": "0,1", "train-limit": 5})
    assert found.source == ("math", "code")
    assert found.seeds == (0, 1)
    assert found.train_limit == 5
    assert found.trainer == ("sft",)


def test_settings_stay_with_their_name():
    assert split("sft:rank=8,epochs=2,grpo") == ["sft:rank=8,epochs=2", "grpo"]
    assert split("sft,grpo:beta=0,sft:rank=1") == ["sft", "grpo:beta=0", "sft:rank=1"]
    assert split("sft:rank=8>grpo,sft") == ["sft:rank=8>grpo", "sft"]


def test_a_name_may_hold_a_colon_itself():
    assert spec("lmeval:gsm8k") == ("lmeval:gsm8k", {})
    assert spec("lmeval:gsm8k:num_fewshot=0") == ("lmeval:gsm8k", {"num_fewshot": "0"})


def test_a_single_value_in_yaml_needs_no_list():
    assert from_mapping({"source": "math", "target": "gpqa", "seeds": 3}).seeds == (3,)


def test_an_empty_list_of_scorers_means_none():
    assert from_mapping({"scorer": []}).scorer == ()
    assert from_mapping({"scorer": ""}).scorer == ()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sorce": "math"}, r"unknown key 'sorce'; did you mean 'source'\?"),
        ({"train_limits": 3}, r"did you mean 'train_limit'\?"),
        ({"train_limit": 0}, "train_limit takes a whole number above 0"),
        ({"train_limit": "many"}, "train_limit takes a whole number above 0, not 'many'"),
        ({"jobs": True}, "jobs takes a whole number"),
        ({"eval_limit": 2.5}, "eval_limit takes a whole number"),
        ({"suite": 3}, "suite takes a name"),
        ({"model": ["a"]}, "model takes a name"),
        ({"seeds": "one"}, "seeds takes whole numbers"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": "1,1"}, "names something twice"),
        ({"source": ""}, "source is empty"),
        ({"target": "a,a"}, "names something twice"),
        ({"conditions": "transfr"}, r"unknown condition 'transfr'; did you mean 'transfer'\?"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(values, said):
    with pytest.raises(UsageError, match=said) as caught:
        from_mapping(values)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("wrong", [{"seeds": {"a": 1}}, {"seeds": 1.5}, {"seeds": [True]}, {"source": {"math": 1}}])
def test_a_value_of_the_wrong_type_is_refused(wrong):
    with pytest.raises(UsageError):
        from_mapping(wrong)


@pytest.mark.parametrize("typed", ["sft:rank=", "sft:rank=8,=3", "sft:rank=8,epochs"])
def test_settings_of_the_wrong_form_are_refused(typed):
    with pytest.raises(UsageError, match="form name:key=value"):
        spec(typed)


def test_a_file_that_is_no_experiment_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"missing\.yaml cannot be read: No such file"):
        read(tmp_path / "missing.yaml")
    for content, said in (("a: [", "is not YAML"), ("- 1", "holds no experiment"), ("", "holds no experiment")):
        (tmp_path / "bad.yaml").write_text(content, encoding="utf-8")
        with pytest.raises(UsageError, match=said) as caught:
            read(tmp_path / "bad.yaml")
        assert "\n" not in str(caught.value)
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not YAML"):
        read(tmp_path / "bad.yaml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_the_file_is_named_where_its_key_is_wrong(tmp_path):
    with pytest.raises(UsageError, match=r"mine\.yaml: unknown key"):
        from_mapping({"sede": 1}, "mine.yaml")
