"""Adam's state at a checkpoint, read from optimizer.pt beside the adapter, and the step it makes of a gradient."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xferbench import UsageError

FILE = "optimizer.pt"
FORMS = ("paper", "own")


@dataclass(frozen=True)
class Moments:
    """For each block the two running means (1, size), and what Adam does with them."""

    first: dict[str, Any]
    second: dict[str, Any]
    step: int
    betas: tuple[float, float]
    eps: float

    def change(self, form: str) -> Any:
        """Return change(block, gradients): the step that Adam would take for each gradient, learning rate left out.

        paper: m' / (sqrt(v') + eps), m' = (b1 m + (1 - b1) g) / (1 - b1^(t+1)), v' likewise with b2 and g^2.
        own: the same without b1 m, which every example shares.
        """
        b1, b2 = self.betas
        first, second = 1 - b1 ** (self.step + 1), 1 - b2 ** (self.step + 1)

        def change(block: str, g: Any) -> Any:
            size = torch.sqrt((b2 * self.second[block] + (1 - b2) * g * g) / second) + self.eps
            push = (1 - b1) * g
            if form == "paper":
                push = push + b1 * self.first[block]
            return push / first / size

        return change


def moments(model: Any, blocks: dict[str, Any]) -> Moments:
    """Read Adam's state for the parameters `blocks` of a loaded model.

    optimizer.pt is the state_dict of a torch optimizer. Parameters are found by name where it has names, else by
    their order among the adapter's parameters. Raises UsageError when there is no such file, when it is not
    Adam's, or when it does not fit the adapter.
    """
    adapter = model.checkpoint.adapter
    path = Path(adapter or "") / FILE
    if adapter is None or not path.is_file():
        where = f"{adapter} has no {FILE}" if adapter else "the checkpoint has no adapter"
        raise UsageError(f"scorer less needs Adam's state from training, but {where}: save it there, or use cosine")
    wanted = {id(parameter): block for block, parameter in blocks.items()}
    named = [(name, p) for name, p in model.network.named_parameters() if "lora_" in name or id(p) in wanted]
    group, entries = _read(path, [name for name, _ in named])
    first, second, step = {}, {}, 0
    for name, parameter in named:
        if id(parameter) not in wanted:
            continue
        entry = entries.get(name, {})
        if not {"exp_avg", "exp_avg_sq", "step"} <= set(entry) or entry["exp_avg"].shape != parameter.shape:
            raise UsageError(f"{path} has no state of Adam that fits {name}")
        block = wanted[id(parameter)]
        first[block] = entry["exp_avg"].float().reshape(1, -1).to(parameter.device)
        second[block] = entry["exp_avg_sq"].float().reshape(1, -1).to(parameter.device)
        step = int(entry["step"])
    if not {"betas", "eps"} <= set(group):
        raise UsageError(f"{path} is not the state of Adam: it has no betas and eps")
    return Moments(first, second, step, tuple(group["betas"]), float(group["eps"]))


def _read(path: Path, named: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the first group of parameters and the state of each parameter, by name."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        groups, state = saved["param_groups"], saved["state"]
        keys = [key for group in groups for key in group["params"]]
        names = [name for group in groups for name in group.get("param_names", ())]
    except Exception as error:  # torch raises anything here, from KeyError to UnpicklingError
        raise UsageError(f"{path} is not the state of a torch optimizer: {str(error).splitlines()[0]}") from error
    if not names:
        names = keys if all(isinstance(key, str) for key in keys) else named
    if len(names) != len(keys):
        raise UsageError(f"{path} holds {len(keys)} parameters, the adapter has {len(names)}")
    return groups[0], {name: state.get(key, {}) for name, key in zip(names, keys, strict=True)}
