"""Errors: codes are stable and said once; whoever may try again is told so."""

from __future__ import annotations

from ombud.errors import Misconfigured, OmbudError, Refused, TooManyRecipients, TryLater, every_error


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
