"""
The credentials n8n's workflows use: fixed ids and names, values from the settings. Never in git.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from panpan.local.n8n import TOKEN_HEADER
from panpan.settings import Settings


def credentials(settings: Settings) -> list[dict[str, Any]]:
    """All credentials in n8n's import format, with their secrets in plain text."""
    return [
        {
            "id": "whLoader00000001",
            "name": "Warehouse loader",
            "type": "postgres",
            "data": {
                "host": settings.database_host,
                "port": settings.postgres_port,
                "database": settings.database_name,
                "user": "loader",
                "password": settings.loader_password.get_secret_value(),
                "ssl": "disable",
                "maxConnections": 10,
            },
        },
        _header("webhookToken0001", "Webhook token", TOKEN_HEADER, settings.webhook_token),
        _bearer("posApiToken00001", "POS API token", settings.pos_api_token),
        _bearer("crmToken00000001", "CRM token", settings.crm_token),
        _bearer("inventoryToken01", "Inventory token", settings.inventory_token),
    ]


def _bearer(credential_id: str, name: str, token: SecretStr) -> dict[str, Any]:
    return _header(credential_id, name, "Authorization", SecretStr(f"Bearer {token.get_secret_value()}"))


def _header(credential_id: str, name: str, header: str, value: SecretStr) -> dict[str, Any]:
    data = {"name": header, "value": value.get_secret_value()}
    return {"id": credential_id, "name": name, "type": "httpHeaderAuth", "data": data}
