"""reasoning-gym (Open-Thought) as a provider of domains: procedural families with the library's own verifiers.

`reasoning_gym/chain_sum` is one family, `reasoning_gym/arithmetic` all of a group, each as often as another. Nothing is
rewritten here: the library makes the problems from a seed and scores the answers. It is imported when a domain is read.
"""

from collections.abc import Iterable

from xferbench import Domain, hookimpl
from xferbench_gym.families import GROUPS, TESTED
from xferbench_gym.made import Scored, problems

DATA = {
    "id": f"reasoning-gym {TESTED} (a Python package)", "licence": "Apache-2.0", "gated": False,
    "note": 'made on the spot: pip install "xferbench[gym]"; another version may make other problems',
}  # fmt: skip


@hookimpl
def provide_domains() -> Iterable[Domain]:
    """Provide every family that tells its own answers, and every group of them."""
    for group, families in GROUPS.items():
        for name, members in ((group, families), *((family, (family,)) for family in families)):
            what = f"reasoning-gym: {len(members)} families of {group}" if name == group else f"reasoning-gym, {group}"
            yield Domain(
                f"reasoning_gym/{name}", problems(members), Scored(), summary=what, stream=True, data=DATA,
            )  # fmt: skip
