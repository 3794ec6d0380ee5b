"""
How n8n encrypts its credentials, so that a restored one can be opened without n8n.

After n8n 2.40's n8n-core/dist/encryption: text "Salted__" + salt + AES-256-CBC with OpenSSL's old key derivation; or,
with key rotation on, "<key id>:<text>" with a data key that lies, wrapped, in table deployment_key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg2.extensions import connection as PgConnection

from backups.errors import BackupError

GCM_INFO = b"n8n-encryption-v1"


def decrypt_cbc(text: str, key: str) -> str:
    """Errors: ValueError when the key is another one or the text is damaged."""
    content = base64.b64decode(text)
    password = key.encode("latin-1") + content[8:16]
    digests = [b""]
    for _ in range(3):
        digests.append(hashlib.md5(digests[-1] + password, usedforsecurity=False).digest())
    decryptor = Cipher(algorithms.AES(digests[1] + digests[2]), modes.CBC(digests[3])).decryptor()
    padded = decryptor.update(content[16:]) + decryptor.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode("utf-8")


def decrypt_gcm(text: str, key: str) -> str:
    """Errors: ValueError or InvalidTag when the key is another one or the text is damaged."""
    content = base64.b64decode(text)
    salt, tag, encrypted = content[1:33], content[33:49], content[49:]
    derived = HKDF(hashes.SHA256(), 44, salt, GCM_INFO).derive(bytes.fromhex(key))
    return AESGCM(derived[:32]).decrypt(derived[32:], encrypted + tag, None).decode("utf-8")


def credentials(connection: PgConnection, key: str) -> dict[str, dict[str, object]]:
    """
    All credentials of a restored n8n database in plain text, by id. Never to be logged or stored.

    Errors: BackupError naming the first that does not open, and never a value.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_catalog.to_regclass('public.credentials_entity') is not null")
        if cursor.fetchone() != (True,):
            return {}  # n8n has never run
        cursor.execute("select id, name, data from public.credentials_entity order by id")
        rows = cursor.fetchall()
        cursor.execute("select pg_catalog.to_regclass('public.deployment_key') is not null")
        data_keys: dict[str, tuple[str, str]] = {}
        if cursor.fetchone() == (True,):
            cursor.execute("select id, value, algorithm from public.deployment_key where type = 'data_encryption'")
            data_keys = {str(each): (value, algorithm) for each, value, algorithm in cursor.fetchall()}
    opened = {}
    for credential_id, name, data in rows:
        try:
            content = json.loads(_decrypt(str(data), key, data_keys))
            if not isinstance(content, dict):
                raise ValueError("no object")
        except (ValueError, KeyError, InvalidTag, binascii.Error):
            raise BackupError(
                f"n8n's credential {name!r} does not decrypt",
                cause="N8N_ENCRYPTION_KEY in the backup key is another one than n8n used",
                next="use the backup.key that was copied after n8n's key was last changed",
            ) from None
        opened[str(credential_id)] = content
    return opened


def _decrypt(data: str, key: str, data_keys: dict[str, tuple[str, str]]) -> str:
    key_id, colon, rest = data.partition(":")
    if not colon:
        return decrypt_cbc(data, key)
    wrapped, algorithm = data_keys[key_id]
    data_key = decrypt_gcm(wrapped, hashlib.sha256(key.encode()).hexdigest())
    return decrypt_gcm(rest, data_key) if algorithm == "aes-256-gcm" else decrypt_cbc(rest, data_key)
