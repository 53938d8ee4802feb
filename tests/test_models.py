"""The file that loads weights: what is asked is a prefix of what was learnt, and a bad model folder is said at once."""

import hashlib
import json
import os
import shutil

import pytest
from conftest import TEMPLATE
from hypothesis import given, settings
from hypothesis import strategies as st

from xferbench import Checkpoint, DataError, Example, ModelError, encode, load, models
from xferbench.tiny import byte_level_tokenizer

PLAIN = byte_level_tokenizer()
CHAT = byte_level_tokenizer(TEMPLATE)
WORDS = st.text(min_size=1, max_size=30).filter(str.strip)


def prompt_alone(tokenizer, prompt):
    if not tokenizer.chat_template:
        return tokenizer(prompt)["input_ids"]
    turns = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=True)[
        "input_ids"
    ]


@pytest.mark.parametrize("tokenizer", [PLAIN, CHAT], ids=["plain", "chat"])
@settings(max_examples=40, deadline=None)
@given(prompt=WORDS, answer=WORDS)
def test_the_prompt_is_encoded_exactly_as_it_will_be_asked(tokenizer, prompt, answer):
    found = encode(tokenizer, Example("e", prompt, answer))
    assert list(found.ids[: found.prompt]) == prompt_alone(tokenizer, prompt)
    assert len(found.ids) > found.prompt


@settings(max_examples=40, deadline=None)
@given(prompt=WORDS, answer=WORDS)
def test_without_a_template_the_answer_follows_whole_and_the_end_token_closes_it(prompt, answer):
    found = encode(PLAIN, Example("e", prompt, answer))
    assert found.ids[-1] == PLAIN.eos_token_id
    assert found.ids.count(PLAIN.eos_token_id) == 1
    learnt = PLAIN.decode(found.ids[found.prompt : -1], clean_up_tokenization_spaces=False)
    gap = "" if prompt[-1].isspace() or answer[0].isspace() else " "
    assert learnt == gap + answer


def test_no_second_space_is_put_where_one_is():
    for prompt, answer in (("Q: ", "a"), ("Q:", " a"), ("Q:", "a"), ("Q:\n", "a")):
        found = encode(PLAIN, Example("e", prompt, answer))
        text = PLAIN.decode(found.ids[:-1], clean_up_tokenization_spaces=False)
        assert text in (prompt + answer, "Q: a")


def test_with_a_template_the_assistants_turn_is_learnt():
    found = encode(CHAT, Example("e", "Is 7 odd or even?", " odd"))
    assert CHAT.decode(found.ids[: found.prompt]) == "<|user|>Is 7 odd or even?\n<|assistant|>"
    assert CHAT.decode(found.ids[found.prompt :]).strip() == "odd<|end|>"


def test_tokens_that_cross_the_border_do_not_change_the_prompt():
    """ "odd or" + " even": joined text may be cut into other tokens than the prompt alone."""
    for cut in range(1, len("Is 12 odd or even? even")):
        text = "Is 12 odd or even? even"
        prompt, answer = text[:cut], text[cut:]
        found = encode(PLAIN, Example("e", prompt, answer))
        assert list(found.ids[: found.prompt]) == PLAIN(prompt)["input_ids"]


def test_what_is_too_long_is_cut_at_its_end():
    example = Example("e", "Q:", "a long answer " * 20)
    whole, cut = encode(PLAIN, example), encode(PLAIN, example, 20)
    assert cut.ids == whole.ids[:20]
    assert cut.prompt == whole.prompt


@pytest.mark.parametrize("tokenizer", [PLAIN, CHAT], ids=["plain", "chat"])
def test_a_prompt_that_fills_all_the_room_is_an_error(tokenizer):
    with pytest.raises(DataError, match=r"example e: \d+ tokens of prompt leave no room for an answer in 10"):
        encode(tokenizer, Example("e", "word " * 50, "a"), 10)


def test_a_good_folder_is_found_wherever_it_is_named_from(llama, monkeypatch):
    assert models.locate(str(llama)) == llama
    monkeypatch.chdir(llama.parent)
    assert models.locate("./llama").resolve() == llama.resolve()
    assert models.locate("llama").resolve() == llama.resolve()


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (("config.json",), "has no config.json"),
        (("model.safetensors",), "has no weights"),
        (("tokenizer.json", "tokenizer_config.json"), "has no tokenizer"),
    ],
)
def test_a_folder_with_something_missing_is_refused(llama, tmp_path, gone, said):
    folder = shutil.copytree(llama, tmp_path / "m")
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(ModelError, match=f"model folder .*m {said}"):
        models.locate(str(folder))


def test_an_adapter_that_is_given_as_the_model_is_told_how_it_is_measured(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"is an adapter and no whole model: --checkpoint NAME=.* measures it"):
        models.locate(str(tmp_path))


def test_a_configuration_that_is_no_json_is_refused(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "m")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        models.locate(str(folder))


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "~/none-such", "none", "a/b/c"])
def test_a_folder_that_is_not_there_is_refused(name):
    with pytest.raises(ModelError, match="does not exist"):
        models.locate(name)


def test_a_hub_id_offline_says_that_it_is_offline():
    code = "from xferbench.models import locate; locate('nobody/no-such-model')"
    import subprocess
    import sys

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    line = shown.stderr.strip().splitlines()[-1]
    assert "nobody/no-such-model is not a folder here" in line
    assert "HF_HUB_OFFLINE is set" in line


def test_broken_weights_are_a_model_error_in_one_line(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load(Checkpoint(str(folder)))
    assert "\n" not in str(caught.value)


def test_a_loaded_model_is_in_eval_mode_and_asks_for_no_gradients(llama):
    found = load(Checkpoint(str(llama)))
    assert not found.network.training
    assert not any(weight.requires_grad for weight in found.network.parameters())
    assert found.context == 256
    assert found.tokenizer.pad_token_id is not None


def test_a_trainable_model_is_in_training_mode(llama):
    found = load(Checkpoint(str(llama)), trainable=True)
    assert found.network.training
    assert all(weight.requires_grad for weight in found.network.parameters())


def test_the_context_is_read_from_any_of_its_names():
    assert models.context({"n_positions": 64}) == 64
    assert models.context({"max_position_embeddings": 128}) == 128
    assert models.context({}) == 2048


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(llama, tmp_path):
    copied = shutil.copytree(llama, tmp_path / "m")
    assert models.fingerprint(copied) == models.fingerprint(llama)
    (copied / "README.md").write_text("a card")
    assert models.fingerprint(copied) == models.fingerprint(llama)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_one_flipped_bit_anywhere_is_another_model(llama, tmp_path, name):
    copied = shutil.copytree(llama, tmp_path / "m")
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    assert models.fingerprint(copied) != models.fingerprint(llama)


def test_a_file_that_was_hashed_is_not_hashed_again(llama, tmp_path):
    copied = shutil.copytree(llama, tmp_path / "m")
    known = {}
    first = models.fingerprint(copied, known)
    assert known
    assert models.fingerprint(copied, json.loads(json.dumps(known))) == first
    forged = dict.fromkeys(known, "0" * 64)
    assert models.fingerprint(copied, forged) != first  # what is noted is believed ...
    (copied / "model.safetensors").write_bytes((llama / "model.safetensors").read_bytes() + b" ")
    changed = models.fingerprint(copied, known)
    assert changed != first  # ... but not of a file that was written to since


def test_a_folder_that_lists_checksums_must_agree_with_them(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "model")
    weights = folder / "model.safetensors"
    sums = {"model.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / "SHA256SUMS.json").write_text(json.dumps(sums))
    assert models.fingerprint(folder) == models.fingerprint(llama)
    broken = bytearray(weights.read_bytes())
    broken[-1] ^= 1
    weights.write_bytes(broken)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        models.fingerprint(folder)
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        models.fingerprint(folder)
