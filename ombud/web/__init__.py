"""The HTTP door: the API under /v1, the pages to read about it, and what monitoring asks. Translates; decides nothing."""

from ombud.web.app import create_app
from ombud.web.server import HttpDoor
from ombud.web.world import Web

__all__ = ["HttpDoor", "Web", "create_app"]
