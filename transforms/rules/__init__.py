"""
Normalization rules: small named functions on whole columns, each with examples that pass and examples that fail.

Comes in: columns read by transforms/formatted/values.py. Goes out: the same columns, as the business means them.
The list is docs/rules.md (made from the code), the examples are tests: `panpan rules test`.
"""
