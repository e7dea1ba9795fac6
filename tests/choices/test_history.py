"""Whatever people do, in whatever order: there is at most one active choice, and the history only grows."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ombud.accounts import load_directory, put_customer
from ombud.accounts.people import put_person
from ombud.choices import Choice, choices_of, load_choices, record_choice, withdraw_choice
from ombud.errors import ChoiceConflict, MayNotChoose, NotFound
from tests.choices.conftest import SHOWN, TOLD, House
from tests.conftest import NOON

_numbers = count()


@pytest.mark.usefixtures("house")
def test_at_most_one_choice_is_active_whatever_happens_and_the_history_never_shrinks(house: House) -> None:
    class Life(RuleBasedStateMachine):
        """One customer of its own for each run; what is seen of the choice may be old."""

        def __init__(self) -> None:
            super().__init__()
            slug = f"bolag-{next(_numbers)}"
            with house.database.write() as tx:
                put_customer(tx, slug, slug, TOLD)
                self.customer = load_directory(tx).customer(slug)
                self.person = put_person(tx, self.customer.id, "Eva", f"eva@{slug}.example", TOLD, may_choose=True)
            self.now = NOON
            self.seen: list[int | None] = [None]  # what someone may still have on their screen
            self.known: list[Choice] = []  # the history as it must be

        @property
        def active(self) -> int | None:
            return self.known[-1].id if self.known and not self.known[-1].withdrawn else None

        def after(self, made: Choice) -> None:
            assert made.number == len(self.known) + 1
            self.known.append(made)
            self.seen.append(made.id)

        @rule(alternative=st.sampled_from(["own", "subcontractor"]), screen=st.integers(0, 50), operator=st.booleans())
        def choose(self, alternative: str, screen: int, operator: bool) -> None:
            self.now += timedelta(minutes=1)
            expected = self.seen[screen % len(self.seen)]
            who = {"operator": "anna", "reason": "ringde"} if operator else {}
            try:
                with house.database.write() as tx:
                    made = record_choice(
                        tx, house.campaign, self.customer, alternative, SHOWN, self.now, expected=expected,
                        person=None if operator else self.person, **who,
                    )  # fmt: skip
            except ChoiceConflict:
                assert expected != self.active
                return
            newest = self.known[-1].id if self.known else None
            assert expected in (self.active, newest)
            assert made.alternative == alternative
            self.after(made)

        @rule()
        def a_stranger_chooses(self) -> None:
            with pytest.raises(MayNotChoose), house.database.write() as tx:
                record_choice(
                    tx, house.campaign, self.customer, "own", SHOWN, self.now, expected=self.active, person=house.lars
                )

        @precondition(lambda self: self.known)
        @rule(screen=st.integers(0, 50))
        def withdraw(self, screen: int) -> None:
            expected = self.seen[screen % len(self.seen)]
            try:
                with house.database.write() as tx:
                    made = withdraw_choice(
                        tx, house.campaign, self.customer, self.now, expected=expected, operator="bo", reason="fel"
                    )
            except (ChoiceConflict, NotFound):
                assert expected != self.active or self.active is None
                return
            assert made.withdrawn
            self.after(made)

        @invariant()
        def the_history_is_what_was_done_and_the_last_of_it_is_active(self) -> None:
            with house.database.read() as tx:
                found = choices_of(tx, house.campaign.id, self.customer.id)
                active = load_choices(tx).active(house.campaign.id, self.customer.id)
            assert found == self.known
            assert [one.number for one in found] == list(range(1, len(found) + 1))
            assert (active.id if active else None) == self.active

    run_state_machine_as_test(Life, settings=settings(max_examples=12, stateful_step_count=15, deadline=None))
