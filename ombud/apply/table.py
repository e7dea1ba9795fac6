"""Strict reading of TOML: a table is read key by key, and what nobody has asked for is refused by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ombud.errors import Misconfigured
from ombud.settings import known_names

T = TypeVar("T")

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
SLUG_RULE = "may hold a-z, 0-9 and hyphens inside it, at most 63 characters"

_VARIABLE = re.compile(r"\$\{([^}:]*)(?::([^}]*))?\}")


_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)


class _Filled(str):
    """A text that came from a variable as a whole: where a number belongs, its digits are one (`port = "${PORT:587}"`)."""

    __slots__ = ()


class Table:
    """One table of the file. Every reader raises Misconfigured, naming the place, for a value of the wrong kind."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._values, self._asked = values, set[str]()

    def has(self, name: str) -> bool:
        return name in self._values

    def is_text(self, name: str) -> bool:
        return isinstance(self._values.get(name), str)

    def text(self, name: str, default: str | None = None) -> str:
        """Without a default the key must be there; the same holds for the other kinds."""
        return str(self._get(name, str, "a text", default))

    def flag(self, name: str, default: bool) -> bool:
        return self._get(name, bool, "true or false", default)

    def number(self, name: str, default: int) -> int:
        value = _number(self._values.get(name, default))
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(f"{name} must be a whole number, 0 or more")
        self._asked.add(name)
        return value

    def day(self, name: str) -> date:
        """A day as TOML writes one, without a time: `2024-05-31`."""
        value = self._get(name, date, "a day, written as 2024-05-31 without quotes", None)
        if isinstance(value, datetime):
            self.refuse(f"{name} must be a day without a time")
        return value

    def decimal(self, name: str, default: Decimal | None = None) -> Decimal:
        """An exact number: a whole one, or a text such as `"0.012"`. A TOML float would have been rounded before it came here."""
        self._asked.add(name)
        value = self._values.get(name, default)
        if value is None:
            self.refuse(f"{name} is missing")
        number = str(value)
        if isinstance(value, bool | float) or not _DECIMAL.fullmatch(number):
            self.refuse(f'{name} must be a number in quotes with a decimal point, such as "0.012"')
        return Decimal(number)

    def texts(self, name: str, default: Sequence[str] = ()) -> list[str]:
        found = self._get(name, list, "a list of texts", list(default))
        if not all(isinstance(one, str) for one in found):
            self.refuse(f"{name} must be a list of texts")
        return [str(one) for one in found]

    def texts_by_name(self) -> dict[str, str]:
        """Every key with its text: for tables whose keys are the file's own."""
        return {name: self.text(name) for name in self._values}

    def settings(self, name: str, *, always_text: Iterable[str]) -> dict[str, object]:
        """A table whose keys are checked elsewhere."""
        found = self._get(name, dict, "a table", {})
        return {key: str(value) if key in always_text else _number(value) for key, value in found.items()}

    def table(self, name: str) -> Table:
        return Table(f"{self.where}: [{name}]", self._get(name, dict, "a table", {}))

    def tables(self, name: str) -> list[Table]:
        found = self._get(name, list, f"a list of tables, [[{name}]]", [])
        if not all(isinstance(one, dict) for one in found):
            self.refuse(f"{name} must be a list of tables, [[{name}]]")
        return [Table(f"{self.where}: [[{name}]] number {n}", one) for n, one in enumerate(found, start=1)]

    def slug(self) -> str:
        """The key `slug`; later complaints about the table name it."""
        slug = self.text("slug")
        if not SLUG.fullmatch(slug):
            self.refuse(f"the slug {slug} {SLUG_RULE}")
        self.where = f"{self.where.rpartition(' number')[0]} {slug}"
        return slug

    def close(self) -> None:
        """Refuse the keys that nobody has asked for."""
        for name in self._values:
            if name not in self._asked:
                self.refuse(f"{name} is not known here; {known_names(name, self._asked)}")

    def refuse(self, reason: str) -> NoReturn:
        raise Misconfigured(reason=f"{self.where}: {reason}")

    def _get(self, name: str, kind: type[T], called: str, default: T | None) -> T:
        self._asked.add(name)
        value = self._values.get(name, default)
        if value is None:
            self.refuse(f"{name} is missing")
        if not isinstance(value, kind):
            self.refuse(f"{name} must be {called}")
        if isinstance(value, str) and not value.isprintable():
            self.refuse(f"{name} holds a line break or another character that cannot be printed")
        return value


def read_table(path: Path, environment: Mapping[str, str], *, without: Iterable[str] = ()) -> Table:
    """The file's outermost table, but for the keys in `without`, with every `${NAME}` and `${NAME:default}` in its texts
    filled in from `environment`. Raises Misconfigured."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(reason=f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(reason=f"{path.name}: {error}") from error
    kept = {name: value for name, value in document.items() if name not in without}
    return Table(path.name, _filled(kept, environment, path.name))


def _filled(value: Any, environment: Mapping[str, str], where: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, environment, f"{where}: {key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environment, where) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if (text := environment.get(name, default)) is None:
            raise Misconfigured(reason=f"{where}: the environment variable {name} is not set and has no default here")
        return text

    filled = _VARIABLE.sub(fill, value)
    return _Filled(filled) if _VARIABLE.fullmatch(value) else filled


def _number(value: object) -> object:
    """The number that a filled-in text is, if it is one. ("007" stays a text, for it would not come back as it was.)"""
    if isinstance(value, _Filled):
        return int(value) if value.isdecimal() and str(int(value)) == value else str(value)
    return value
