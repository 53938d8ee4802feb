"""Checkpoints measured in turn by one process: each gives the very digits that it gives when loaded alone."""

import pytest
import torch

from xferbench import Checkpoint, load, shelf
from xferbench.errors import StepError


@pytest.fixture(scope="module")
def checkpoints(llama, tmp_path_factory):
    """The base, and two random adapters on it."""
    from peft import LoraConfig, get_peft_model

    found = [Checkpoint(str(llama))]
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = get_peft_model(
            load(found[0]).network, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        )
        folder = tmp_path_factory.mktemp("adapters") / str(seed)
        network.save_pretrained(folder)
        found.append(Checkpoint(str(llama), str(folder)))
    return found


def logits(model):
    with torch.no_grad():
        return model.network(input_ids=torch.arange(40)[None]).logits


def test_a_model_taken_over_gives_the_digits_of_one_loaded_alone(checkpoints):
    alone = [logits(load(one)) for one in checkpoints]
    assert not torch.equal(alone[1], alone[2])
    shelf.clear()
    for number in (1, 2, 0, 1, 1, 0, 2):
        assert torch.equal(logits(shelf.take(checkpoints[number])), alone[number])


def test_the_base_is_loaded_once(checkpoints, monkeypatch):
    calls = []
    monkeypatch.setattr(shelf, "load", lambda checkpoint: calls.append(checkpoint) or load(checkpoint))
    shelf.clear()
    for number in (0, 1, 2, 0):
        shelf.take(checkpoints[number])
    assert len(calls) == 1
    shelf.clear()


def test_an_adapter_that_changes_nothing_is_refused_also_when_it_was_swapped_in(checkpoints, llama, tmp_path):
    from peft import LoraConfig, get_peft_model

    get_peft_model(load(checkpoints[0]).network, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path)
    shelf.clear()
    shelf.check(shelf.take(checkpoints[1]), str(llama))
    with pytest.raises(StepError, match="identical to the base"):
        shelf.check(shelf.take(Checkpoint(str(llama), str(tmp_path))), str(llama))
