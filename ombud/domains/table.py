"""The proved domains as they are kept. `ownership` owns what happens to them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from ombud.db import Moment, metadata

domain_table = Table(
    "domain",
    metadata,
    Column("name", Text, primary_key=True),  # lower-case A-label
    Column("customer_id", Integer, ForeignKey("customer.id"), nullable=False),
    Column("proved_at", Moment, nullable=False),
    Column("proof", Text, nullable=False),  # how: "operator" (with a reason) or "apply"
    Column("reason", Text, nullable=False),
)
