"""Rewards that can be verified, each with a name and a version: what a domain judges a completion by.

A specification is a frozen dataclass that is called as reward(example, completion). Its name, version and settings are
part of the identity of every training on its domain.
"""

from xferbench_rewards.answers import Exact, Form, Letter, Number
from xferbench_rewards.maths import Maths
from xferbench_rewards.unit_tests import UnitTests
from xferbench_rewards.watched import Watched

__all__ = ["Exact", "Form", "Letter", "Maths", "Number", "UnitTests", "Watched"]
