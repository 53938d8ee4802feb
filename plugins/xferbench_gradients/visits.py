"""The checkpoints that a training kept on its way, visited one after the other in the loaded network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xferbench import Checkpoint, Model, UsageError

LIST = "checkpoints.json"
"""Beside the adapter: [{"step", "learning_rate", "folder"}]; the rate is the mean since the checkpoint before."""
KNOWN = ("all", "last")


def visited(model: Any, which: str) -> Iterator[tuple[Any, float]]:
    """Yield (model, learning rate) for each checkpoint kept; the network holds that checkpoint's adapter meanwhile.

    `which`: all, or last: the model as it is, with rate 1, as also where a training kept no list. Raises UsageError
    for anything else, or when a listed checkpoint is not there. The network's own adapter is put back at the end.
    """
    if which not in KNOWN:
        raise UsageError(f"no checkpoints {which!r} (known: {', '.join(KNOWN)})")
    adapter = model.checkpoint.adapter
    path = Path(adapter or "") / LIST
    if which == "last" or adapter is None or not path.is_file():
        yield model, 1.0
        return
    from peft import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

    listed = json.loads(path.read_text(encoding="utf-8"))
    missing = [row["folder"] for row in listed if not (path.parent / row["folder"] / "adapter_config.json").is_file()]
    if missing:
        raise UsageError(f"{path} lists {missing[0]}, which is not there: train again")
    network = model.network
    own = {name: weight.detach().clone() for name, weight in get_peft_model_state_dict(network).items()}
    try:
        for row in listed:
            folder = path.parent / row["folder"]
            last = row["folder"] == "."
            set_peft_model_state_dict(network, own if last else load_peft_weights(str(folder), device="cpu"))
            there = Checkpoint(model.checkpoint.base, adapter if last else str(folder))
            yield Model(network, model.tokenizer, there), float(row["learning_rate"])
    finally:
        set_peft_model_state_dict(network, own)
