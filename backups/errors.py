"""Errors of this package."""

from __future__ import annotations

from panpan.errors import PanpanError


class BackupError(PanpanError):
    """A backup could not be made, or is not what it says."""


class RestoreError(PanpanError):
    """A backup could not be restored."""
