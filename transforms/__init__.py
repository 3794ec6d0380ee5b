"""
raw -> formatted -> core -> marts.

Comes in: documents in raw_*, contracts in sources/*.toml. Goes out: Parquet files, core and marts tables, rejects.
"""
