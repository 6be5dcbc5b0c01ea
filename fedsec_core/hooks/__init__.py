"""The typed facade: one method per hook. Nothing else in the core touches pluggy's relay."""

from __future__ import annotations

from fedsec_core.hooks.clients import ClientHooks
from fedsec_core.hooks.members import Member
from fedsec_core.hooks.server import ServerHooks

__all__ = ["ClientHooks", "Member", "ServerHooks"]
