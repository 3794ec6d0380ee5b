"""
Where README's figures on speed and memory come from: each command compares in one run, on one scratch server.

Comes in: generated Square exports with known totals. Goes out: seconds, ratios and peak memory. Nothing here is a timed
test; a ratio of one run holds on a busy machine, seconds do not.
"""
