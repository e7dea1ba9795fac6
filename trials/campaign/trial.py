"""Sixty days, one by one: letters go out, people act, and each day the product's picture is held against the ledger's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from itertools import product

from ombud.accounts.people import Role
from ombud.campaigns.cadence import is_letter_time
from ombud.campaigns.correspondence import plan_of
from ombud.campaigns.letters import Plan
from ombud.campaigns.picture import Picture
from ombud.campaigns.stages import Ball, Flag, Stage
from ombud.campaigns.status import NOTHING_CHOSEN, Filter, Line, Sum, load_lines, select_lines, status_of
from ombud.notices.letters import Writer, put_letters
from ombud.routing.routes import load_routes
from ombud.workdays import is_workday
from trials.campaign.made import Made, noon
from trials.campaign.people import People, entries

DAY = timedelta(days=1)
#: More time is given on this day.
EXTENDED_ON = date(2024, 5, 24)


@dataclass
class Result:
    """What sixty days came to. Everything under `wrong` must be empty."""

    customers: int = 0
    days: int = 0
    letters: int = 0
    bounced: int = 0
    choices: int = 0
    went_live: int = 0
    comparisons: int = 0  # customers held against the ledger, over all days
    filters: int = 0  # filters whose sums were held against the list
    seconds: float = 0.0
    stages: dict[str, int] = field(default_factory=dict)  # on the last day
    wrong: Counter[str] = field(default_factory=Counter)
    first_wrong: str = ""

    def fault(self, kind: str, words: str) -> None:
        self.wrong[kind] += 1
        self.first_wrong = self.first_wrong or f"{kind}: {words}"

    def values(self) -> dict[str, object]:
        return {**asdict(self), "wrong": dict(self.wrong)}


class Trial:
    def __init__(self, made: Made, tell: Callable[[str], None] = lambda words: None) -> None:
        self.made, self._tell = made, tell
        self.ledger = entries(made)
        self.people = People(made, self.ledger)
        self.result = Result(customers=len(self.ledger))
        self._writer = Writer(made.seal, None, "https://ombud.example")

    def run(self, first: date, days: int) -> Result:
        began = time.monotonic()
        for n in range(days):
            self.one_day(first + n * DAY)
            self.result.days += 1
        self.result.seconds = round(self.result.seconds + time.monotonic() - began, 1)
        self.result.choices = sum(1 for one in self.ledger.values() if one.alternative)
        self.result.went_live = self.people.switched
        self.result.bounced = sum(1 for one in self.ledger.values() if one.dead)
        return self.result

    def one_day(self, day: date) -> None:
        written = self.letters_go_out(day) if is_letter_time(noon(day, 9)) else 0
        self.people_act(day, written)
        with self.made.database.read() as tx:
            picture = self.people.picture(tx, noon(day, 20))
            lines = load_lines(tx, picture)
        self.compare(picture)
        self.sums(picture, lines)
        self.result.stages = dict(Counter(one.stage.value for one in picture.standings.values()))
        self._tell(
            f"{day}  {written:5} letters  "
            + "  ".join(f"{name} {number}" for name, number in sorted(self.result.stages.items()))
        )

    # --- letters ---

    def letters_go_out(self, day: date) -> int:
        now = noon(day, 9)
        with self.made.database.read() as tx:
            plan = plan_of(tx, self.people.picture(tx, now), now)
        self.look_at(plan, day)
        with self.made.database.write() as tx:
            new = put_letters(tx, self._writer, plan.letters, now, by="trial")
        with self.made.database.write() as tx:
            if again := put_letters(tx, self._writer, plan.letters, now, by="trial"):
                self.result.fault("sent_twice", again[0].key)
            self.people.post_arrives(tx, now + timedelta(minutes=1))
        self.result.letters += len(new)
        return len(new)

    def look_at(self, plan: Plan, day: date) -> None:
        """Nobody who is done is reminded, nor anyone but the one who has the ball; each person at most once a day."""
        now = noon(day, 9)
        reached: Counter[int] = Counter()
        roles = {person.id: person.role for people in self.made.people.values() for person in people}
        for one in plan.planned:
            letter, entry = one.letter, self.ledger[one.letter.customer_id]
            ball = entry.ball(now)
            reached[letter.person_id or 0] += 1
            if letter.text == "done":
                if not entry.done:
                    self.result.fault("told_done_too_early", letter.key)
                continue
            if entry.done:
                self.result.fault("done_reminded", letter.key)
            elif ball in ("dns", "nobody") or (ball == "vendor" and (entry.told or entry.dead)):
                self.result.fault("reminded_though_the_ball_is_elsewhere", letter.key)
            elif (roles[letter.person_id or 0] is Role.IT_SUPPLIER) != (ball == "it_supplier"):
                self.result.fault("the_wrong_one_reminded", letter.key)
        for person, letters in reached.items():
            if letters > 1:
                self.result.fault("two_letters_a_day", str(person))
        told = {one.letter.customer_id for one in plan.planned} | {one.customer_id for one in plan.excluded}
        if told != set(self.ledger):
            self.result.fault("neither_planned_nor_excluded", str(len(set(self.ledger) - told)))

    # --- people ---

    def people_act(self, day: date, written: int) -> None:
        people, now = self.people, noon(day)
        with self.made.database.write() as tx:
            people.links_are_opened(tx, now, 0.15 if written else 0.03)
            people.choices_are_made(tx, now)
            people.records_are_put_in_place(tx, now)
            if is_workday(day):
                people.routes_are_set_up(tx, now)
        with self.made.database.write() as tx:
            self.made.routes |= {route.slug: route.id for route in load_routes(tx).values()}
            people.messages_prove_it(tx, now)
            if day == EXTENDED_ON:
                people.more_time_is_given(tx, now, max(6, len(self.ledger) // 80))
        if is_workday(day):
            with self.made.database.write() as tx:
                people.customers_go_live(tx, noon(day, 14))
            with self.made.database.write() as tx:
                people.some_are_taken_back(tx, noon(day, 15))

    # --- the judge ---

    def compare(self, picture: Picture) -> None:
        """Each customer's stage is the one that the ledger has worked out."""
        if set(picture.standings) != set(self.ledger):
            self.result.fault("somebody_is_missing", str(set(self.ledger) ^ set(picture.standings)))
        for number, entry in self.ledger.items():
            standing, expected = picture.standings[number], entry.stage(picture.at)
            self.result.comparisons += 1
            if standing.stage.value != expected:
                self.result.fault("another_stage", f"{picture.at} {entry.slug}: {standing.stage} and not {expected}")
            if standing.done != entry.done:
                self.result.fault("done_or_not", f"{picture.at} {entry.slug}")

    def sums(self, picture: Picture, lines: list[Line]) -> None:
        """Under every filter the sums are those of the list."""
        for wanted in _filters():
            listed = select_lines(lines, wanted, picture.at)
            status = status_of(picture, listed)
            self.result.filters += 1
            parts = {
                "stages": [status.stage(one) for one in Stage],
                "balls": [status.ball(one) for one in Ball],
                "cells": list(status.cells.values()),
            }
            for name, those in parts.items():
                if _added(those) != (
                    len(listed),
                    sum(one.emails for one in listed),
                    sum(one.to_gmail for one in listed),
                ):
                    self.result.fault("sums", f"{picture.at} {name} {wanted}")
        if _added([status_of(picture, lines).total]) != (
            len(self.ledger),
            sum(one.emails for one in lines),
            sum(one.to_gmail for one in lines),
        ):
            self.result.fault("total", str(picture.at))


def _filters() -> Iterable[Filter]:
    """Each stage, ball, alternative and flag by itself, and stages with balls."""
    yield Filter()
    for stage in Stage:
        yield Filter(stages=frozenset({stage}))
    for ball in Ball:
        yield Filter(balls=frozenset({ball}))
    for alternative in (NOTHING_CHOSEN, "own", "mailgun"):
        yield Filter(alternatives=frozenset({alternative}))
    for flag in Flag:
        yield Filter(flags=frozenset({flag}))
    for stage, ball in product((Stage.CHOSEN, Stage.SETTING_UP, Stage.STOPPED, Stage.EXTENDED), Ball):
        yield Filter(stages=frozenset({stage}), balls=frozenset({ball}))
    yield Filter(at_least=timedelta(days=5), alternatives=frozenset({"mailgun"}))
    yield Filter(text="nr 1")


def _added(sums: Iterable[Sum]) -> tuple[int, int, int]:
    customers = emails = to_gmail = 0
    for one in sums:
        customers, emails, to_gmail = customers + one.customers, emails + one.emails, to_gmail + one.to_gmail
    return customers, emails, to_gmail
