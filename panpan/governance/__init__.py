"""
Governance that acts: a log of changes nobody can alter unnoticed, metrics that must be approved, what a change touches.

log keeps the chain, definitions notices what changed, approval says which metrics count, impact what a source feeds,
score how far there is one truth.
"""
