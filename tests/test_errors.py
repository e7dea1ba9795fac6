"""Errors: codes are stable and said once; whoever may try again is told so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import ombud
from ombud import errors
from ombud.errors import Misconfigured, NotFound, OmbudError, Refused, TooManyRecipients, TryLater, every_error


def test_what_may_pass_is_retryable_and_what_someone_must_change_is_not() -> None:
    for error in every_error():
        assert error.retryable is not issubclass(error, Refused | Misconfigured), error
        assert error.retryable or not issubclass(error, TryLater), error


def test_too_many_recipients_has_a_passing_smtp_code_and_is_a_refusal_all_the_same() -> None:
    assert TooManyRecipients.smtp[0] == 452
    assert not TooManyRecipients(limit=1).retryable


def test_what_nobody_has_foreseen_may_be_tried_again() -> None:
    assert OmbudError().retryable


def test_no_code_is_given_twice() -> None:
    codes = [error.code for error in every_error()]
    assert len(set(codes)) == len(codes)


def drawn() -> Iterator[tuple[str, str]]:
    """Each error in the drawing, and what it is drawn under: a group has a line, what hangs on it stands after a dot."""
    drawing = (errors.__doc__ or "").split("\n\n")[1]
    above = ["Exception"]
    for line in drawing.splitlines():
        branches, text = re.fullmatch(r"((?:│   |    |├── |└── )*)(.*)", line).groups()  # type: ignore[union-attr]  # it fits every line
        depth = len(branches) // 4
        if text.startswith(("· ", "  ")):
            yield from ((name, above[depth + 1]) for name in re.findall(r"[A-Z]\w+", text))
        else:
            group = text.split()[0]
            yield group, above[depth]
            above[depth + 1 :] = [group]


def test_the_drawing_at_the_top_is_the_tree_and_in_the_order_in_which_it_is_written() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, OmbudError)]
    assert list(drawn()) == [(one.__name__, one.__mro__[1].__name__) for one in classes]


def test_every_kind_of_thing_that_may_be_missing_has_a_swedish_name() -> None:
    sources = "".join(path.read_text() for path in Path(ombud.__file__).parent.rglob("*.py"))
    kinds = set(re.findall(r'NotFound\(kind="([^"]+)"', sources))
    assert "customer" in kinds
    assert kinds == set(NotFound.kinds)
    assert NotFound(kind="case", name="SC-1").text("sv") == "Ärendet SC-1 finns inte."
    assert NotFound(kind="case", name="SC-1").text() == "There is no case SC-1."


def test_a_sentence_has_one_sign_at_its_end() -> None:
    assert Misconfigured(reason="did you mean smtp?").text().endswith("smtp?")
