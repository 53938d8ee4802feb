"""Real data sets as domains; each reads the hub, or a folder of the hub's layout in the working directory."""

from collections.abc import Iterable

from xferbench import Domain, hookimpl
from xferbench_domains import gsm8k, pubmedqa


@hookimpl
def provide_domains() -> Iterable[Domain]:
    """Provide gsm8k and pubmedqa."""
    yield gsm8k.DOMAIN
    yield pubmedqa.DOMAIN
