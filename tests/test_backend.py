"""The canary of an engine that loads adapters by itself: one that answers as without the adapter is an error."""

import dataclasses

import pytest

from xferbench import LmEvalTask, StepError, UsageError
from xferbench.lmeval.engine import heard


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


def test_a_backend_is_named_and_must_be_there(monkeypatch):
    target = LmEvalTask("x", "gsm8k")
    assert target.needs_model
    assert not dataclasses.replace(target, backend="vllm").needs_model
    assert target.fingerprint() != dataclasses.replace(target, backend="vllm").fingerprint()
    with pytest.raises(UsageError, match=r"unknown backend of target x 'vlm'; did you mean 'vllm'\?"):
        dataclasses.replace(target, backend="vlm")
    monkeypatch.setattr("xferbench.lmeval.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="backend=vllm needs vllm, on a machine with a GPU"):
        dataclasses.replace(target, backend="vllm").check(None, 256, None)
