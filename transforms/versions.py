"""
Which rules made a row: a hash over the contract and over all code and SQL that apply it.

Comes in: a contract. Goes out: a rule version, and ops.rule_versions, which says what it meant.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from psycopg2.extensions import connection as PgConnection

from transforms.contract import Contract

FOLDER = Path(__file__).parent
RULES = ("formatted/*.py", "rules/*.py", "matching/*", "core/*.sql")


def rule_version(contract: Contract) -> str:
    """The version of a contract together with the rules that apply it: ten characters, the same on every machine."""
    return hashlib.sha256(f"{_rules()}{contract.model_dump_json()}".encode()).hexdigest()[:10]


def keep_rule_version(connection: PgConnection, contract: Contract) -> str:
    """The contract's rule version, written down with the contract at its first use."""
    version = rule_version(contract)
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.rule_versions (rule_version, source, contract) values (%s, %s, %s) on conflict do nothing",
            (version, contract.source, contract.model_dump_json()),
        )
    return version


@cache
def _rules() -> str:
    files = sorted(file for pattern in RULES for file in FOLDER.glob(pattern) if file.is_file())
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
