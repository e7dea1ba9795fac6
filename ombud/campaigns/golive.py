"""Going live: from a moment on a customer's mail goes by its choice. What the alternative needs is looked at first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ombud.accounts import Customer
from ombud.campaigns import stages
from ombud.campaigns.cases import CaseState, close_case, comment, hold_case
from ombud.campaigns.choosing import LANGUAGE, NO_CENTRE, ServiceCentre, tell_live
from ombud.campaigns.fees import settle_fee
from ombud.campaigns.picture import Picture
from ombud.campaigns.stages import Flag, Stage, Standing
from ombud.choices import Alternative, Choice, Need
from ombud.choices.choosing import choices_of
from ombud.clock import STOCKHOLM
from ombud.db import Transaction
from ombud.errors import BadField, ChoiceConflict, NotReadyToGoLive, SwitchedMeanwhile, WrongState
from ombud.routing import Route, Switch, decide, load_switches, put_switch

#: Who goes live with what is ready, where the campaign says that nobody need ask.
AUTOMATIC = "ombud"


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is missing before a customer may go live."""

    code: str  # choice | route | domain | records | proof
    about: str  # the route, or the domain
    sv: str
    en: str


def lacks(picture: Picture, customer: Customer) -> list[Lack]:
    """All that the customer's alternative needs and has not; empty: it may go live. Pure."""
    facts = picture.facts[customer.id]
    alternative = facts.alternative
    if alternative is None:
        return [Lack("choice", "", "inget val är gjort", "nothing is chosen")]
    found: list[Lack] = []
    if not facts.has_route:
        slug = alternative.route_of(customer.slug)
        found.append(Lack("route", slug, f"vägen {slug} finns inte", f"there is no route {slug}"))
    if alternative.needs and not facts.domains:
        found.append(Lack("domain", "", "ingen avsändardomän är angiven", "there is no sender domain"))
    for domain in facts.domains:
        found += _domain_lacks(alternative, domain)
    return found


def _domain_lacks(alternative: Alternative, domain: stages.DomainFact) -> Iterable[Lack]:
    name = domain.name
    if Need.RECORDS in alternative.needs and domain.state != "ok":
        yield Lack(
            "records", name, f"DNS-posterna för {name} är inte på plats", f"the DNS records of {name} are not in place"
        )
    if Need.PROVEN in alternative.needs and not domain.proven_at:
        yield Lack("proof", name, f"inget provmejl har bevisat {name}", f"no test message has proved {name}")


def go_live(
    tx: Transaction, picture: Picture, customer: Customer, now: datetime, *, by: str, products: Collection[int] | None = None,
    at: datetime | None = None, override_reason: str = "", canary_percent: int = 100, canary_until: datetime | None = None,
    centre: ServiceCentre = NO_CENTRE,
) -> list[Switch]:  # fmt: skip
    """Let the customer's mail from these products (None: all of the campaign's) go by its choice from `at` on (None: now).

    With `override_reason` an operator goes live although something is missing; it is kept with the switch and on the case.
    What is live already stays as it is. One switch for each way that the mail took before, which failures are measured against.

    Raises NotReadyToGoLive, BadField for a product that is not the campaign's, WrongState when all of it is live already,
    ChoiceConflict or SwitchedMeanwhile when the customer has chosen anew or been switched since the picture, and what `put_switch`
    does.
    """
    remaining = _remaining(picture, customer, products)
    missing = lacks(picture, customer)
    route = picture.route_of(customer)
    choice = picture.facts[customer.id].choice
    if choice is None or route is None or (missing and not override_reason.strip()):
        raise _not_ready(picture, customer, missing)
    case = hold_case(tx, picture.campaign.id, customer.id, now)
    _see_that_it_stands(tx, picture, choice, customer)
    reason = override_reason.strip()
    switches = [
        put_switch(
            tx, customer.id, route.id, now, product_ids=group, at=at, campaign_id=picture.campaign.id, from_route_id=before,
            canary_percent=canary_percent, canary_until=canary_until, by=by, reason=reason,
        )
        for before, group in _by_way(picture, customer, remaining, now).items()
    ]  # fmt: skip
    _settle_fee(tx, picture, customer, choice, switches, now, by)
    every = len(remaining) == len(picture.campaign.products) - len(picture.facts[customer.id].live_since or {})
    if case:
        comment(tx, case, _words(picture, switches, route, missing if reason else [], reason), by, now)
        if every and canary_percent == 100 and (at is None or at <= now) and case.state is CaseState.OPEN:
            close_case(tx, case, by, now, "i drift")
            tell_live(tx, centre, picture.campaign, customer, choice, case, now)
    return switches


def ready(picture: Picture) -> list[Customer]:
    """Who could go live now, lacking nothing. Those who were taken back wait for a person. Pure."""
    return [
        customer
        for customer in picture.customers
        if _is_ready(picture.standings[customer.id]) and not lacks(picture, customer)
    ]


def _is_ready(standing: Standing) -> bool:
    held_back = {Flag.ROLLED_BACK, Flag.CANARY} & standing.flags
    return standing.step is not Stage.LIVE and standing.next.code in ("switch", "switch_rest") and not held_back


# --- the steps -----------------------------------------------------------------------------------------------------


def _remaining(picture: Picture, customer: Customer, products: Collection[int] | None) -> list[int]:
    campaign, live = picture.campaign, picture.facts[customer.id].live_since or {}
    wanted = campaign.products if products is None else products
    if strange := [product for product in wanted if product not in campaign.products]:
        slugs = ", ".join(picture.directory.product_by_id(product).slug for product in strange)
        raise BadField(field="products", reason=f"{slugs}: not in the campaign {campaign.slug}")
    if not (remaining := [product for product in wanted if product not in live]):
        raise WrongState(state=Stage.LIVE)
    return remaining


def _not_ready(picture: Picture, customer: Customer, missing: Sequence[Lack]) -> NotReadyToGoLive:
    alternative = picture.facts[customer.id].alternative
    return NotReadyToGoLive(
        customer=customer.name,
        alternative=alternative.name["en"] if alternative else "-",
        alternative_sv=alternative.name[LANGUAGE] if alternative else "-",
        lacks="; ".join(one.en for one in missing),
        lacks_sv="; ".join(one.sv for one in missing),
        codes=[one.code for one in missing],
    )


def _see_that_it_stands(tx: Transaction, picture: Picture, choice: Choice, customer: Customer) -> None:
    """Raises ChoiceConflict when the choice is not the newest any more, SwitchedMeanwhile when somebody has switched the customer
    since the picture. The case's row is held: whoever chooses anew or goes live writes on it too, so the second of two waits for the
    first, and then sees what it did."""
    newest = choices_of(tx, choice.campaign_id, customer.id)[-1]
    if newest.id != choice.id:
        raise ChoiceConflict(customer=customer.name, by=newest.by, alternative=newest.alternative or "-")
    if set(load_switches(tx, customer.id)) != set(picture.routing.switches_of.get(customer.id, ())):
        raise SwitchedMeanwhile(customer=customer.name)


def _by_way(
    picture: Picture, customer: Customer, products: Iterable[int], now: datetime
) -> Mapping[int | None, list[int]]:
    """The products by the route that their mail takes now."""
    groups: defaultdict[int | None, list[int]] = defaultdict(list)
    for product in products:
        way = decide(picture.routing, customer.id, product, now).route
        groups[way.id if way else None].append(product)
    return groups


def _settle_fee(
    tx: Transaction, picture: Picture, customer: Customer, choice: Choice, switches: Sequence[Switch], now: datetime, by: str
) -> None:  # fmt: skip
    """The alternative's price counts from the day on which it goes live; an own server's ends what was paid before, once all
    products are there."""
    earlier = picture.routing.switches_of.get(customer.id, ())
    newest_first = sorted((*switches, *earlier), key=lambda one: (one.at, one.id), reverse=True)
    reason = f"{picture.campaign.slug}: {choice.alternative}"
    settle_fee(tx, picture.routing, newest_first, customer, switches[0].at, now, by=by, reason=reason)


def _words(picture: Picture, switches: Sequence[Switch], route: Route, missing: Sequence[Lack], reason: str) -> str:
    """Going live as a comment on the case."""
    names = sorted(picture.directory.product_by_id(one).name for switch in switches for one in switch.product_ids or ())
    first = switches[0]
    lines = [f"I drift från {first.at.astimezone(STOCKHOLM):%Y-%m-%d %H:%M} via {route.slug}: {', '.join(names)}."]
    if first.canary_until:
        until = f"{first.canary_until.astimezone(STOCKHOLM):%Y-%m-%d %H:%M}"
        lines.append(f"Till {until} gäller det {first.canary_percent} % av mottagarna.")
    if missing:
        lines.append(f"Trots att {'; '.join(one.sv for one in missing)}.")
    if reason:
        lines.append(f"Skäl: {reason}")
    return "\n".join(lines)
