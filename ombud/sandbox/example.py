"""Reads an example's files: its customers, the recipients of the rent-notice run, the text of the notice, and the DNS records."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

#: The example that belongs to this source tree.
DEFAULT = Path(__file__).resolve().parents[2] / "examples" / "molntjanst-2024"


@dataclass(frozen=True, slots=True)
class Notice:
    """The text that all recipients get; both parts name the columns of `hyresavier.csv` as `{{column}}`."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """The whole example; rows are as in the files, by column name."""

    customers: tuple[dict[str, str], ...]
    recipients: tuple[dict[str, str], ...]
    notice: Notice
    records: str


def load(directory: Path = DEFAULT) -> Example:
    """Read the example in `directory`. Raises OSError when a file is missing."""
    subject, _, text = (directory / "avi.txt").read_text("utf-8").partition("\n\n")
    return Example(
        customers=_rows(directory / "customers.csv"),
        recipients=_rows(directory / "hyresavier.csv"),
        notice=Notice(subject.removeprefix("Ämne:").strip(), text),
        records=(directory / "dns.zone").read_text("utf-8"),
    )


def _rows(path: Path) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
