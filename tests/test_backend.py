"""The canary of an engine that loads adapters by itself: one that answers as without the adapter is an error."""

import dataclasses

import pytest
import torch

from xferbench import Checkpoint, LmEvalTask, StepError, UsageError, cuda, load, shelf
from xferbench.lmeval.engine import heard
from xferbench.work import preflight


class Engine:
    """Stands in for vLLM, which needs a GPU: log-likelihoods that the adapter moves by `shift`."""

    def __init__(self, lora_request, shift):
        self.lora_request, self.shift = lora_request, shift

    def loglikelihood(self, requests, disable_tqdm):
        return [(-len(r.args[0]) - (self.shift if self.lora_request else 0.0), False) for r in requests]


def test_an_engine_that_lost_the_adapter_is_found_out():
    with pytest.raises(StepError, match="vllm answers with the adapter exactly as without"):
        heard(Engine("adapter", 0.0))
    fine = Engine("adapter", 0.25)
    heard(fine)
    assert fine.lora_request == "adapter", "it is put back"
    heard(Engine(None, 0.0))


def test_a_backend_is_named():
    target = LmEvalTask("x", "gsm8k")
    assert target.needs_model
    assert not dataclasses.replace(target, backend="vllm").needs_model
    assert target.fingerprint() != dataclasses.replace(target, backend="vllm").fingerprint()
    with pytest.raises(UsageError, match=r"unknown backend of target x 'vlm'; did you mean 'vllm'\?"):
        dataclasses.replace(target, backend="vlm")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bits": 5}, "bits is 4, 8 or none, not 5"),
        ({"bits": True}, "bits is 4, 8 or none, not True"),
        ({"attention": "flash"}, "attention is sdpa, eager, flash_attention_2 or none, not flash"),
        ({"dtype": "fp16"}, "dtype is bfloat16, float16, float32 or none, not fp16"),
        ({"backend": "vllm", "bits": 4}, "bits=4 is for backend=hf; vllm goes its own way"),
        ({"attention": "flash_attention_2", "dtype": "float32"}, "attention=flash_attention_2 knows .* not float32"),
    ],
)
def test_what_no_network_can_be_held_as_is_refused(settings, said):
    with pytest.raises(UsageError, match=f"^target x: {said}$"):
        LmEvalTask("x", "gsm8k", **settings)


def test_how_a_network_is_held_is_part_of_a_measurement_only_where_it_is_asked_for():
    plain = LmEvalTask("x", "gsm8k")
    assert set(plain.silent) == {"bits", "attention", "dtype", "draw", "draw_seed"}
    assert plain.loading == {}
    others = [dataclasses.replace(plain, **one) for one in ({"bits": 4}, {"attention": "eager"}, {"dtype": "float32"})]
    assert [one.loading for one in others] == [{"bits": 4}, {"attention": "eager"}, {"dtype": "float32"}]
    assert len({one.fingerprint() for one in (plain, *others)}) == 4
    assert not any(set(one.loading) & set(one.silent) for one in others)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
@pytest.mark.parametrize(
    ("name", "value", "package"),
    [("backend", "vllm", "vllm"), ("bits", 8, "bitsandbytes"), ("attention", "flash_attention_2", "flash-attn")],
)
def test_what_this_machine_cannot_do_is_refused_before_anything_is_trained(name, value, package, monkeypatch, llama):
    asked = {"name": "mini/math", "settings": {name: value}, "version": "1"}
    monkeypatch.setattr(cuda, "find_spec", lambda module: None)
    why = preflight(str(llama), asked, 1, False)["why"]
    assert why == f"target mini/math: {name}={value} needs the package {package} (pip install {package}), and CUDA"
    monkeypatch.setattr(cuda, "find_spec", lambda module: True)
    why = preflight(str(llama), asked, 1, False)["why"]
    assert why == f"target mini/math: {name}={value} needs CUDA, and no card is seen here: leave it out"
    elsewhere = preflight(str(llama), asked, 1, False, here=False)  # the machines that measure may have one
    assert "CUDA" not in elsewhere.get("why", "")


def logits(model):
    with torch.no_grad():
        return model.network(input_ids=torch.arange(40)[None]).logits.float()


def test_a_network_is_held_as_the_target_asks_and_held_anew_for_the_next(llama, tuned):
    shelf.clear()
    worn = Checkpoint(str(llama), str(tuned / "adapter"))
    usual = logits(shelf.take(worn))
    assert shelf.take(worn).network.config._attn_implementation == "sdpa"
    eager = shelf.take(worn, attention="eager")
    assert eager.network.config._attn_implementation == "eager"
    torch.testing.assert_close(logits(eager), usual, atol=1e-4, rtol=1e-4)
    shelf.check(eager, str(llama))
    narrow = shelf.take(worn, dtype="bfloat16")
    assert narrow.network.dtype == torch.bfloat16
    assert 0 < (logits(narrow) - usual).abs().max() < 0.5
    shelf.check(narrow, str(llama))
    assert torch.equal(logits(shelf.take(worn)), usual)
    shelf.clear()


@pytest.mark.parametrize(("bits", "kind"), [(4, "Linear4bit"), (8, "Linear8bitLt")])
def test_an_adapter_is_measured_on_a_base_of_few_bits_and_one_that_does_nothing_is_found_out(bits, kind, llama, tuned):
    """By bitsandbytes' own kernels for a CPU."""
    pytest.importorskip("bitsandbytes")
    shelf.clear()
    model = shelf.take(Checkpoint(str(llama), str(tuned / "adapter")), bits=bits)
    held = [type(one).__name__ for one in model.network.modules()]
    assert held.count(kind) == 14  # the seven of each layer
    shelf.check(model, str(llama))
    whole = load(Checkpoint(str(llama), str(tuned / "adapter")))
    away = (logits(model) - logits(whole)).abs().max()
    assert 0 < away < (logits(load(Checkpoint(str(llama)))) - logits(whole)).abs().max()
    shelf.clear()
