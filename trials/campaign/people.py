"""Plays everyone who is not Ombud: letters arrive or bounce, links are opened, choices made, records put in place, operators switch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import insert, select, update

from ombud.accounts.links import Scope, link_table, link_use_table
from ombud.accounts.people import Role, mark_all_bounced
from ombud.campaigns.choosing import choose
from ombud.campaigns.golive import go_live, ready
from ombud.campaigns.mailing import load_reach
from ombud.campaigns.picture import Picture, load_picture
from ombud.choices import ExtensionKind, Shown, approve_extension, ask_extension
from ombud.db import Transaction
from ombud.domains.proof import ProofState, proof_table
from ombud.domains.watchlist import watch_table
from ombud.ids import new_id
from ombud.notices.letters import letter_table
from ombud.queue import State
from ombud.routing import load_facts, put_route, roll_back
from trials.campaign.ledger import Entry
from trials.campaign.made import SLUG, Made

T = TypeVar("T")
SHOWN = Shown("Alternativet, så som det visades.", "500 kr per månad", "sv", {"campaign": 1})
#: The share of contacts whose address is dead.
DEAD = 0.02


class People:
    """One day after the other. Whatever is done to the product is written into the ledger, and nothing is read from it."""

    def __init__(self, made: Made, ledger: dict[int, Entry]) -> None:
        self._made, self._ledger, self._rng = made, ledger, made.rng
        self._dead = {customer.id for customer in made.customers if self._rng.random() < DEAD}
        self._choices: dict[int, int] = {}  # customer -> the newest choice's id
        self.switched = 0

    # --- the post ---

    def post_arrives(self, tx: Transaction, now: datetime) -> None:
        """Every letter that is on its way arrives, or comes back."""
        letters = letter_table.c
        rows = tx.execute(
            select(letters.id, letters.customer_id, letters.person_id).where(letters.outcome.is_(None))
        ).all()
        contacts = {self._made.people[customer][0].id for customer in self._dead}
        back = [row for row in rows if row.person_id in contacts]
        for outcome, these in (
            (State.FAILED, back),
            (State.DELIVERED, [row for row in rows if row.person_id not in contacts]),
        ):
            for page in _pages([row.id for row in these]):
                tx.execute(update(letter_table).where(letters.id.in_(page)).values(outcome=outcome, outcome_at=now))
            for row in these:
                entry = self._ledger[row.customer_id]
                entry.told |= outcome is State.DELIVERED
                entry.dead |= outcome is State.FAILED
        for page in _pages([row.person_id for row in back]):
            mark_all_bounced(tx, page, now)

    # --- the customers ---

    def links_are_opened(self, tx: Transaction, now: datetime, chance: float) -> None:
        those = [one for one in self._ledger.values() if one.told and not one.opened and self._rng.random() < chance]
        links = link_table.c
        known = {
            row.customer_id: row.id
            for row in tx.execute(
                select(links.id, links.customer_id).where(links.scope == Scope.CHOOSE).order_by(links.id)
            )
        }
        uses = []
        for entry in those:
            if link := known.get(entry.customer_id):
                uses.append({"link_id": link, "what": "looked", "at": now, "peer": "192.0.2.1", "answer": {}})
                entry.opened = True
        if uses:
            tx.execute(insert(link_use_table), uses)

    def choices_are_made(self, tx: Transaction, now: datetime) -> None:
        for entry in self._ledger.values():
            changes = bool(entry.alternative) and self._rng.random() < 0.002
            if not changes and (entry.alternative or not entry.opened or self._rng.random() > 0.15):
                continue
            alternatives = [one for one in ("own", "mailgun") if one != entry.alternative]
            chosen = self._rng.choice(alternatives)
            customer = self._made.directory.customer(entry.slug)
            done = choose(
                tx, self._made.campaign, customer, chosen, SHOWN, now, expected=self._choices.get(entry.customer_id),
                person=self._made.people[entry.customer_id][0],
            )  # fmt: skip
            self._choices[entry.customer_id] = done.choice.id
            entry.alternative = chosen

    def more_time_is_given(self, tx: Transaction, now: datetime, count: int) -> None:
        waiting = [one for one in self._ledger.values() if not one.done and not one.extension]
        for n, entry in enumerate(self._rng.sample(waiting, min(count, len(waiting)))):
            kind = ExtensionKind.EXEMPTION if n % 3 == 0 else ExtensionKind.EXTENSION
            asked = ask_extension(
                tx, self._made.campaign, self._made.directory.customer(entry.slug), kind, self._made.campaign.last_extension_date,
                now, reason_code="other", reason="generated", by="anna",
            )  # fmt: skip
            approve_extension(tx, self._made.campaign, asked, "bo", now)
            entry.extension = kind.value

    # --- DNS, and the probe mailbox ---

    def records_are_put_in_place(self, tx: Transaction, now: datetime) -> None:
        watched, spread, there = watch_table.c, [], []
        for entry in self._ledger.values():
            if entry.records == "spreading":
                there.append(entry)
            elif entry.alternative == "mailgun" and entry.records == "missing" and self._rng.random() < 0.12:
                spread.append(entry)
        for entries, state, turn, records in ((there, "ok", "wait", "ok"), (spread, "pending", "wait", "spreading")):
            for page in _pages([f"{one.slug}.example" for one in entries]):
                tx.execute(
                    update(watch_table).where(watched.domain.in_(page)).values(state=state, turn=turn, since=now)
                )
            for entry in entries:
                entry.records = records

    def messages_prove_it(self, tx: Transaction, now: datetime) -> None:
        rows = []
        for entry in self._ledger.values():
            own = entry.alternative == "own"
            could = entry.route if own else entry.alternative == "mailgun" and entry.records == "ok"
            if could and not entry.proven.get(entry.alternative) and self._rng.random() < 0.5:
                route = self._made.routes[f"{entry.slug}-egen" if own else "mailgun"]
                rows.append(_proof(entry, route, now))
                entry.proven[entry.alternative] = True
        if rows:
            tx.execute(insert(proof_table), rows)

    # --- the operators ---

    def routes_are_set_up(self, tx: Transaction, now: datetime) -> None:
        for entry in self._ledger.values():
            if entry.alternative == "own" and not entry.route and self._rng.random() < 0.3:
                slug, seal = f"{entry.slug}-egen", self._made.seal
                put_route(
                    tx,
                    seal,
                    slug,
                    "smtp",
                    {"host": f"mail.{entry.slug}.example"},
                    None,
                    now,
                    customer_id=entry.customer_id,
                )
                entry.route = True

    def customers_go_live(self, tx: Transaction, now: datetime) -> None:
        picture = self.picture(tx, now)
        for customer in ready(picture):
            go_live(tx, picture, customer, now, by="anna")
            entry = self._ledger[customer.id]
            entry.live, entry.rolled_back = entry.alternative, False
            self.switched += 1

    def some_are_taken_back(self, tx: Transaction, now: datetime) -> None:
        facts = load_facts(tx)
        for entry in [one for one in self._ledger.values() if one.live and self._rng.random() < 0.001]:
            for switch in facts.switches_of[entry.customer_id]:
                if switch.stands(now):
                    roll_back(tx, switch.id, now, by="anna", reason="generated")
            entry.live, entry.rolled_back = "", True

    def picture(self, tx: Transaction, now: datetime) -> Picture:
        return load_picture(tx, SLUG, now, load_reach(tx, SLUG))


def _proof(entry: Entry, route_id: int, now: datetime) -> dict[str, object]:
    domain, id = f"{entry.slug}.example", new_id()
    return {
        "id": id, "domain": domain, "customer_id": entry.customer_id, "route_id": route_id, "state": ProofState.READ,
        "asked_at": now - timedelta(minutes=5), "asked_by": "trial", "header_from": f"post@{domain}", "probe": "probe@vendor.example",
        "message_id": f"{id}@vendor.example", "nonce": id, "words": "250 ok", "read_at": now, "ok": True,
        "seen": {"spf": "pass", "dmarc": "pass", "aligned_dkim": True},
    }  # fmt: skip


def _pages(ids: Sequence[T]) -> Iterable[Sequence[T]]:
    for start in range(0, len(ids), 1000):
        yield ids[start : start + 1000]


def entries(made: Made) -> dict[int, Entry]:
    """The ledger before the first day."""
    return {
        one.id: Entry(one.id, one.slug, any(person.role is Role.IT_SUPPLIER for person in made.people[one.id]))
        for one in made.customers
    }
