"""
A contract proposed from a file nobody has described yet.

Comes in: the path of a file, options. Goes out: a Proposal: the contract's TOML, each decision with evidence.
"""

from transforms.infer.decisions import Decision, Proposal
from transforms.infer.options import Options
from transforms.infer.proposing import propose

__all__ = ["Decision", "Options", "Proposal", "propose"]
