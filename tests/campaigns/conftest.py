from __future__ import annotations

import pytest

from ombud.db import Database
from tests.campaigns.house import House, furnish


@pytest.fixture
def house(database: Database) -> House:
    return furnish(database)
