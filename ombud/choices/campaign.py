"""A campaign: a change that every customer must choose its way through, as a value. Its dates are days in its own zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from ombud.errors import AlternativeNotOffered

LANGUAGES = ("sv", "en")

#: One text in every language: {"sv": "...", "en": "..."}.
Texts = Mapping[str, str]


class Kind(StrEnum):
    """Whose servers an alternative sends by."""

    OWN = "own"  # the customer's own provider or server
    SUBCONTRACTOR = "subcontractor"  # the vendor's subcontractor


class Need(StrEnum):
    """What must hold before a choice may go live."""

    RECORDS = "records"  # every DNS record that the route requires is there
    PROVEN = "proven"  # a real message by the route passed SPF or DKIM, aligned


class AfterStop(StrEnum):
    """What becomes of mail after the stop when nothing has been chosen."""

    REFUSE = "refuse"
    HOLD = "hold"


class GoLive(StrEnum):
    """Who lets a choice be in force once it lacks nothing."""

    BY_HAND = "by_hand"  # an operator
    AUTOMATIC = "automatic"  # the service, as soon as it has seen that


class Page(StrEnum):
    """A campaign's pages, each in every language."""

    NOTICE = "notice"
    FAQ = "faq"


@dataclass(frozen=True, slots=True)
class Alternative:
    """What may be chosen in a campaign."""

    slug: str
    kind: Kind
    route: str  # the slug of the route, `{slug}` in it is the customer's
    needs: tuple[Need, ...]
    recommended: bool
    name: Texts
    text: Texts
    price_plan: str = ""  # "": the campaign's, for the subcontractor's; the own one costs nothing
    offered: bool = True  # False: withdrawn from the campaign; those who have chosen it keep it

    def route_of(self, customer: str) -> str:
        """The slug of the route that the customer of this slug takes."""
        return self.route.replace("{slug}", customer)


@dataclass(frozen=True, slots=True)
class PageVersion:
    """Which text a page has, in one language. The text itself: `page_text`."""

    version: int  # counts from 1 for each page and language
    sha256: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """The vendor's own way out for a customer in reserve mode: its route, and the address that stands as the sender."""

    route_id: int
    address: str  # `{slug}` in it is the customer's


@dataclass(frozen=True, slots=True)
class Campaign:
    """One version of a campaign. Days are inclusive: on the stop date mail still leaves."""

    id: int  # the same for every version
    slug: str
    version: int
    name: Texts
    products: Mapping[int, int]  # product id -> the id of its legacy route, for those who have chosen nothing yet
    alternatives: tuple[Alternative, ...]  # those withdrawn too, so that every choice's is here; see `offered`
    start_date: date  # the campaign counts from this day on: until then its products' mail goes as if it was not there
    risk_date: date
    stop_date: date
    last_extension_date: date
    end_date: date | None = None  # the last day to choose in it; None: always. Its choices and its stop stay in force.
    zone: str = "Europe/Stockholm"
    after_stop: AfterStop = AfterStop.REFUSE
    hold_days: int = 0  # with `hold`: how long mail is kept at most
    go_live: GoLive = GoLive.BY_HAND
    price_plan: str = ""  # "": nothing costs anything
    allowed_regions: frozenset[str] = field(default_factory=frozenset)  # empty: all
    reserve: Reserve | None = None  # None: there is no reserve mode in it
    pages: Mapping[tuple[Page, str], PageVersion] = field(default_factory=dict)  # (page, language)

    @property
    def start_at(self) -> datetime:
        return start_of(self.start_date, self.zone)

    @property
    def risk_at(self) -> datetime:
        """The first moment of the risk date."""
        return start_of(self.risk_date, self.zone)

    @property
    def stop_at(self) -> datetime:
        """The first moment after the stop date: mail leaves while `now < stop_at`."""
        return end_of(self.stop_date, self.zone)

    @property
    def last_extension_at(self) -> datetime:
        """The first moment after the last extension date: no extension reaches it."""
        return end_of(self.last_extension_date, self.zone)

    @property
    def end_at(self) -> datetime | None:
        """From then on nothing can be chosen in it any more; None: it has no end."""
        return end_of(self.end_date, self.zone) if self.end_date else None

    @property
    def offered(self) -> tuple[Alternative, ...]:
        """What can be chosen now, the recommended first, else in the file's order."""
        return tuple(sorted((one for one in self.alternatives if one.offered), key=lambda one: not one.recommended))

    def alternative(self, slug: str) -> Alternative:
        """The one of that slug, withdrawn or not. Raises AlternativeNotOffered."""
        for one in self.alternatives:
            if one.slug == slug:
                return one
        offered = ", ".join(one.slug for one in self.offered)
        raise AlternativeNotOffered(alternative=slug, campaign=self.slug, offered=offered)

    def plan_of(self, alternative: Alternative) -> str:
        """The slug of the price plan of that alternative; "": it costs nothing."""
        if alternative.price_plan or alternative.kind is Kind.OWN:
            return alternative.price_plan
        return self.price_plan

    def today(self, now: datetime) -> date:
        """Which day it is in the campaign's zone."""
        return now.astimezone(ZoneInfo(self.zone)).date()


def start_of(day: date, zone: str) -> datetime:
    """The first moment of a day in that zone, in UTC; right also where clocks are turned on that day.

    >>> start_of(date(2024, 4, 1), "Europe/Stockholm").isoformat()
    '2024-03-31T22:00:00+00:00'
    """
    # A midnight that the clocks skip gets the offset from before, which is the moment of the skip (PEP 495); of one
    # that comes twice, fold 0 is the first.
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def end_of(day: date, zone: str) -> datetime:
    """The first moment after a day in that zone, in UTC.

    >>> end_of(date(2024, 5, 31), "Europe/Stockholm").isoformat()
    '2024-05-31T22:00:00+00:00'
    """
    return start_of(day + timedelta(days=1), zone)
