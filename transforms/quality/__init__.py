"""
Quality checks: what must hold of the data, found out after each run, some of it before a run's results are shown.

checks.py reads them from transforms/checks, judge.py makes them, gate.py holds loads back, record.py keeps results and
incidents, freshness.py says how old each source is, mutate.py tries whether the checks notice what goes wrong.
"""
