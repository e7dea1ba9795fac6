"""A decision in words, for people: which rule, with its dates, in Swedish and English."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta

from ombud.clock import STOCKHOLM
from ombud.routing.decide import GMAIL_AT_RISK, Action, Decision

#: What each reason means, (Swedish, English); also those that the queue gives when a mail is held or let go.
_SAID: Mapping[str, tuple[str, str]] = {
    "test_mode": ("Provnyckel: mejlet går alla steg men skickas inte.", "Test credential: the mail takes every step but is not sent."),
    "reserve_mode": ("Reservläge: mejlet går från leverantörens egen domän, med kunden som svarsadress.", "Reserve mode: the mail leaves from the vendor's own domain, with the customer as Reply-To."),
    "override": ("En operatör har tillfälligt bestämt annat.", "An operator has decided otherwise for a while."),
    "rolled_back": ("Omslaget är återställt, så mejlet går som förut.", "The switch was rolled back, so the mail goes as before."),
    "canary": ("Mottagaren hör till den andel som går den nya vägen först.", "The recipient is of the share that takes the new route first."),
    "choice_live": ("Kundens val är i drift.", "The customer's choice is live."),
    "switched": ("Kundens e-post är omslagen till en annan väg.", "The customer's mail was switched to another route."),
    "customer_product_route": ("Kunden har en egen väg för produkten.", "The customer has a route of its own for the product."),
    "customer_route": ("Kunden har en egen väg.", "The customer has a route of its own."),
    "legacy": ("Inget val är i drift, så mejlet går den gamla vägen.", "No choice is live, so the mail takes the old route."),
    "legacy_extended": ("Kunden har fått mer tid, så mejlet går den gamla vägen.", "The customer was given more time, so the mail takes the old route."),
    "legacy_exempt": ("Kunden är undantagen tills vidare, så mejlet går den gamla vägen.", "The customer is exempt for now, so the mail takes the old route."),
    "no_active_choice": ("Inget val är i drift, och sista dagen har gått.", "No choice is live, and the last day has passed."),
    "product_route": ("Produktens e-post går den här vägen för alla.", "The product's mail takes this route for everyone."),
    "no_route": ("Varken kunden eller produkten har någon väg.", "Neither the customer nor the product has a route."),
    "region_not_allowed": ("Vägen ligger utanför de områden som e-posten får passera.", "The route lies outside the regions that mail may pass."),
    "brownout": ("Provstopp: e-post från dem som inte har valt hålls kvar en stund och släpps sedan.", "Brownout: the mail of those who have not chosen is held for a while and then released."),
    "customer_suspended": ("Kunden är avstängd.", "The customer is suspended."),
    "hold_expired": ("Mejlet hölls kvar så länge det får, utan att någon väg öppnades.", "The mail was held for as long as it may be, and no way opened."),
    "held_by_operator": ("En operatör håller kvar mejlet.", "An operator holds the mail."),
    "released_by_operator": ("En operatör har släppt mejlet.", "An operator released the mail."),
    "no_signing_key": ("Vägen signerar, men domänen har ingen nyckel.", "The route signs, but the domain has no key."),
    GMAIL_AT_RISK: ("Mottagaren har Gmail, och ingen har sett att vägen är autentiserad för avsändaren.", "The recipient has Gmail, and nobody has seen that the way is authenticated for the sender."),
    "domain_lost": ("Poster som vägen behöver saknas i avsändardomänens DNS. Mejlet släpps när de är tillbaka.", "Records that the route needs are gone from the sender domain's DNS. The mail is released when they are back."),
    "over_cap": ("Kundens eget tak för månaden är nått, och massutskick hålls kvar.", "The customer's own cap for the month is reached, and bulk mail is held."),
}  # fmt: skip
_WARNED = {
    GMAIL_AT_RISK: (
        "Mottagaren har Gmail, som sedan {risk} kräver att avsändaren är autentiserad. Ingen har sett att den här vägen är det.",
        "The recipient has Gmail, which since {risk} wants authenticated senders. Nobody has seen that this way is.",
    )
}


def said(reason: str) -> dict[str, str]:
    """What a stored reason means, without dates; the code itself where nothing more is known."""
    sv, en = _SAID.get(reason, (reason, reason))
    return {"sv": sv, "en": en}


def explain(decision: Decision) -> dict[str, str]:
    """The decision as one to three sentences in each language: what is done, which rule says so, and its dates."""
    return {language: " ".join(_sentences(decision, language)) for language in ("sv", "en")}


def _sentences(decision: Decision, language: str) -> list[str]:
    sentences = [_what(decision, language), said(decision.reason)[language], *_dates(decision, language)]
    for warning in decision.warnings:
        unknown = "riskdatumet" if language == "sv" else "the risk date"
        risk = _day(decision.campaign.risk_at) if decision.campaign else unknown
        sentences.append(_WARNED[warning][language == "en"].format(risk=risk))
    return sentences


def _what(decision: Decision, language: str) -> str:
    route = decision.route.slug if decision.route else ""
    sv, en = {
        Action.SEND: (f"Skickas via {route}.", f"Sent by {route}."),
        Action.HOLD: ("Hålls kvar.", "Held."),
        Action.REFUSE: ("Avvisas.", "Refused."),
    }[decision.action]
    return sv if language == "sv" else en


def _dates(decision: Decision, language: str) -> list[str]:
    """Since when and until when, as far as it is known."""
    sv = language == "sv"
    if decision.reason == "no_active_choice" and decision.since:
        last = _last(decision.since)
        return [f"Sista dagen var {last}." if sv else f"The last day was {last}."]
    dates = []
    if decision.since:
        dates.append(f"Gäller sedan {_moment(decision.since)}." if sv else f"In force since {_moment(decision.since)}.")
    if decision.until:
        words = ("Till och med", "Until the end of") if _midnight(decision.until) else ("Till", "Until")
        dates.append(f"{words[not sv]} {_last(decision.until)}.")
    return dates


def _midnight(moment: datetime) -> bool:
    return moment.astimezone(STOCKHOLM).time() == time()


def last_day(end: datetime) -> str:
    """The last day, in Stockholm, of a time that ends then."""
    return _day(end - timedelta(microseconds=1))


def _last(end: datetime) -> str:
    """The end of a time as people say it: the last day, where it ends with a day."""
    return last_day(end) if _midnight(end) else _moment(end)


def _day(moment: datetime) -> str:
    return moment.astimezone(STOCKHOLM).strftime("%Y-%m-%d")


def _moment(moment: datetime) -> str:
    return _day(moment) if _midnight(moment) else moment.astimezone(STOCKHOLM).strftime("%Y-%m-%d %H:%M")
