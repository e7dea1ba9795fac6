"""The ways out: one folder or file per provider, and the list of them. `provider.py` says what a provider is."""

from __future__ import annotations

from ombud.providers.nowhere import Nowhere
from ombud.providers.provider import Provider
from ombud.providers.smtp import Smtp

PROVIDERS: dict[str, type[Provider]] = {"nowhere": Nowhere, "smtp": Smtp}
