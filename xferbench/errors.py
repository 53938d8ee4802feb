"""Every error that a user can cause or meet, one line each; the command line prints the line and exits with its code.

XferbenchError (1)
├── UsageError (2)      a wrong name, setting, key or folder: nothing was started
│   ├── DataError (2)   a data set that is missing, gated, empty or too small
│   └── ModelError (2)  a model folder that cannot be used
├── PluginError (2)     a plugin broke the contract
├── StepError (1)       a step failed while it ran
└── VerificationError (3)  a published row does not hold
"""

import difflib
import errno
from collections.abc import Iterable


class XferbenchError(Exception):
    """The root of all errors raised on purpose; `exit_code` is what the command line exits with."""

    exit_code = 1


class UsageError(XferbenchError):
    """The command, the YAML or a setting is wrong; nothing was started."""

    exit_code = 2


class DataError(UsageError):
    """A domain or target has no usable data."""


class ModelError(UsageError):
    """The base model cannot be loaded."""


class PluginError(UsageError):
    """A plugin does not keep the contract."""


class StepError(XferbenchError):
    """A step failed while it ran; what was done before it is kept."""


class VerificationError(XferbenchError):
    """A stored or published result does not agree with what it rests on."""

    exit_code = 3


FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew beyond what this process may write",
    errno.EROFS: "the disk is read-only",
}
"""What a system's error number says when nothing can be written any more."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known name nearest to `name`, or "" when none is near."""
    known = sorted(known)
    tails = {k.rsplit("/", 1)[-1]: k for k in known}
    match = difflib.get_close_matches(name, [*known, *tails], n=1, cutoff=0.6)
    short = [k for k in known if "_" in k and name == "".join(word[:1] for word in k.split("_"))]  # lr: learning_rate
    match = short or match or [k for k in known if k.startswith(name) or name.startswith(k)]
    return f"; did you mean {match[0] if match[0] in known else tails[match[0]]!r}?" if match else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that nothing is registered under: what is wrong, what is known, the nearest."""
    known = sorted(set(known))
    shown = ", ".join(known[:30]) + (f", ... ({len(known)} in all)" if len(known) > 30 else "")
    return UsageError(f"unknown {kind} {name!r}{nearest(name, known)} (known: {shown or 'none'})")
