"""The database: connections, transactions, group commit, migrations. The only place that knows SQLite from PostgreSQL."""

from ombud.db.database import Database, Transaction
from ombud.db.group import GroupCommit, Verb
from ombud.db.many import Many, Question
from ombud.db.schema import Day, Identity, Json, Moment, metadata

__all__ = [
    "Database",
    "Day",
    "GroupCommit",
    "Identity",
    "Json",
    "Many",
    "Moment",
    "Question",
    "Transaction",
    "Verb",
    "metadata",
]
