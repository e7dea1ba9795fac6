"""The pages of a choice: the public one that sends links, the personal one that a link opens, and the one that pauses reminders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ombud.accounts.links import Scope, open_link
from ombud.accounts.people import person_by_id
from ombud.accounts.vendor import Vendor, load_vendor
from ombud.campaigns import sentences
from ombud.campaigns.bylink import (
    Done,
    Place,
    ask_for_link,
    choose_by_link,
    consider,
    load_place,
    renew_by_link,
)
from ombud.campaigns.cadence import snoozed_until
from ombud.campaigns.choosing import ServiceCentre
from ombud.campaigns.mailing import Snooze, base_url, last_days, letter_writer, load_past, snooze
from ombud.choices import Campaign, Page, load_choices
from ombud.clock import day_of
from ombud.db import Transaction
from ombud.errors import NotFound, TooLateToPause, UnknownCampaign
from ombud.mail.encodedword import without_unsafe
from ombud.web.choicevalues import (
    about_alternative,
    about_choice,
    about_other,
    about_vendor,
    asked_of,
    lower,
    to_confirm,
)
from ombud.web.forms import Handler, Pages, language_of, read_form, see_other
from ombud.web.world import Web
from ombud.wording import said_day, said_number

T = TypeVar("T")
_DAY = timedelta(days=1)


class ChoicePages:
    """`handlers` gives each page's function, wrapped so that an error becomes a page."""

    def __init__(self, web: Web) -> None:
        self._web, self._pages = web, Pages()
        self._centre = ServiceCentre.of(web.settings)
        self._own_hosts = frozenset({base_url(web.settings).partition("://")[2].partition("/")[0].lower()})

    def handler(self, function: Handler) -> Handler:
        return self._pages.answered(function, self._whose)

    # --- the public page -------------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> Response:
        """`GET /choose/{campaign}/{customer}`: what it is about, and an offer to send links. The same for every customer."""
        return await self._asking(request, sent=False)

    async def send_links(self, request: Request) -> Response:
        """`POST` to the same: links go to the contacts that are known. The answer is the same whether there are any."""
        await read_form(request, self._own_hosts)
        names = (request.path_params["campaign"], request.path_params["customer"])
        try:
            await self._do(
                lambda tx, now: ask_for_link(tx, letter_writer(tx, self._web.seal, self._web.settings), *names, now)
            )
        except UnknownCampaign:
            raise _no_such_page(request) from None
        return await self._asking(request, sent=True)

    async def _asking(self, request: Request, *, sent: bool) -> Response:
        now, language = self._web.clock.now(), language_of(request)
        slug = request.path_params["campaign"]
        try:
            campaign = await self._web.database.reading(lambda tx: load_choices(tx).campaign(slug))
        except UnknownCampaign:
            raise _no_such_page(request) from None
        today = campaign.today(now)
        values = {
            **await self._whose(),
            "campaign": campaign.name[language],
            "sent": sent,
            "consequence": sentences.consequence(campaign, campaign.stop_date, today, language),
            "stop_day": said_day(campaign.stop_date, language),
            "is_over": today > campaign.stop_date,
            "other_language": _switch(request, language),
            "action": f"{request.url.path}?lang={language}",
        }
        return self._pages.page("choice/ask.html", language, values)

    # --- the personal page -----------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """`GET /c/{token}`: the notice, the alternatives, the price. Changes nothing."""
        place = await self._place(request)
        return self._choosing(request, place)

    async def check(self, request: Request) -> Response:
        """`POST /c/{token}/check`: what would be chosen, to look at before it is."""
        form = await read_form(request, self._own_hosts)
        place = await self._place(request)
        language = language_of(request, place.person.language)
        offered = {one.slug: one for one in place.campaign.offered}
        if form.one("alternative") not in offered:
            return self._choosing(request, place, "missing", status=422)
        token, peer = request.path_params["token"], _peer(request)
        await self._do(lambda tx, now: consider(tx, self._web.seal, token, now, peer))
        alternative = offered[form.one("alternative")]
        wanted = set(form.all("also"))
        companies = [place.company, *(one for one in place.others if one.customer.slug in wanted)]
        values = {
            **self._common(request, place, language, post=f"/c/{token}/check"),
            "alternative": about_alternative(place, alternative, place.company, language),
            "companies": [to_confirm(place, alternative, one, language) for one in companies],
            "what_now": sentences.what_now(alternative, language, is_stopped=place.today > place.last_day),
            "also": sorted(wanted),
        }
        return self._pages.page("choice/check.html", language, values)

    async def choose(self, request: Request) -> Response:
        """`POST /c/{token}/choice`: choose. The same form again is answered as the first time."""
        form = await read_form(request, self._own_hosts)
        place = await self._place(request)
        language = language_of(request, place.person.language)
        token, peer, web = request.path_params["token"], _peer(request), self._web
        asked = [asked_of(text) for text in form.all("company")]
        if not asked:
            return self._choosing(request, place, "missing", status=422)
        done = await self._do(
            lambda tx, now: choose_by_link(
                tx, letter_writer(tx, web.seal, web.settings), token, form.one("alternative"), asked, language, now,
                centre=self._centre, peer=peer,
            )
        )  # fmt: skip
        if any(one.conflict for one in done):
            return await self._conflict(request, done, language)
        return see_other(f"/c/{token}/done?lang={language}")

    async def receipt(self, request: Request) -> Response:
        """`GET /c/{token}/done`: what has been chosen, with the case's number."""
        place = await self._place(request)
        language = language_of(request, place.person.language)
        if place.company.choice is None or place.kept is None:
            return see_other(f"/c/{request.path_params['token']}?lang={language}")
        alternative = place.campaign.alternative(place.company.choice.alternative)
        values = {
            **self._common(request, place, language),
            "choice": about_choice(place, place.company, language),
            "price": place.kept.price,
            "price_language": place.kept.language,
            "what_now": sentences.what_now(alternative, language, is_stopped=place.today > place.last_day),
            "others": [about_choice(place, one, language) for one in place.others if one.choice],
        }
        return self._pages.page("choice/receipt.html", language, values)

    async def renew(self, request: Request) -> Response:
        """`POST /c/{token}/renew`: a new link to the one whose old one has expired."""
        await read_form(request, self._own_hosts)
        token, peer, web = request.path_params["token"], _peer(request), self._web
        await self._do(lambda tx, now: renew_by_link(tx, letter_writer(tx, web.seal, web.settings), token, now, peer))
        language = language_of(request)
        values = {**await self._whose(), "other_language": ""}
        return self._pages.page("choice/renewed.html", language, values)

    def _choosing(self, request: Request, place: Place, error: str = "", status: int = 200) -> Response:
        language = language_of(request, place.person.language)
        campaign, presenter, customer = place.campaign, place.presenter, place.company.customer
        volume = presenter.volumes.get(customer.id)
        address = f"{base_url(self._web.settings)}/c/{request.path_params['token']}"
        pages = {page for page, _ in campaign.pages}
        faq = presenter.questions(customer, language, address) if Page.FAQ in pages else []
        values = {
            **self._common(request, place, language, get=f"/c/{request.path_params['token']}"),
            "error": error,
            "alternatives": [about_alternative(place, one, place.company, language) for one in campaign.offered],
            "choice": about_choice(place, place.company, language) if place.company.choice else None,
            "others": [about_other(place, one, language) for one in place.others],
            "emails": said_number(volume.emails, language) if volume and volume.emails else "",
            "to_gmail": said_number(volume.gmail, language) if volume and volume.gmail else "",
            "notice": lower(presenter.page(Page.NOTICE, customer, language, address)) if Page.NOTICE in pages else "",
            "faq": [(one.question, lower(one.answer)) for one in faq],
        }
        return self._pages.page("choice/choose.html", language, values, status)

    def _common(
        self, request: Request, place: Place, language: str, *, get: str = "", post: str = ""
    ) -> dict[str, Any]:
        """What every personal page shows. `get`: where it is read; `post`: it is the answer to a form, sent again to change language."""
        campaign = place.campaign
        other = "en" if language == "sv" else "sv"
        days = (place.last_day - place.today).days
        return {
            **about_vendor(place.presenter.vendor),
            "campaign": campaign.name[language],
            "has_centre": bool(self._centre.webhook or self._centre.mail),
            "customer": place.company.customer,
            "person": place.person,
            "may_choose": place.may_choose and not place.ended,
            "ended": place.ended,
            "is_over": place.today > place.last_day,
            "remaining": sentences.remaining(days, language) if days >= 0 else "",
            "stop_day": said_day(place.last_day, language),
            "stopped_since": said_day(place.last_day + _DAY, language),
            "consequence": sentences.consequence(campaign, place.last_day, place.today, language),
            "risk": sentences.risk(campaign, place.today, language),
            "token": request.path_params["token"],
            "other_language": "" if post else f"{get or request.url.path}?lang={other}",
            "post_other_language": f"{post}?lang={other}" if post else "",
        }

    async def _conflict(self, request: Request, done: Sequence[Done], language: str) -> Response:
        """Somebody was first. What they chose is shown, as it is now; what was chosen for other companies stands."""
        place = await self._place(request)
        after = {one.customer.id: one for one in (place.company, *place.others)}
        values = {
            **self._common(request, place, language, get=f"/c/{request.path_params['token']}"),
            "conflicts": [
                about_choice(place, after[one.company.customer.id], language) for one in done if one.conflict
            ],
            "made_choices": [
                about_choice(place, after[one.company.customer.id], language) for one in done if not one.conflict
            ],
        }
        return self._pages.page("choice/conflict.html", language, values, 409)

    # --- pausing the reminders -------------------------------------------------------------------------------------

    async def ask_pause(self, request: Request) -> Response:
        """`GET /s/{token}`: until when the reminders would be paused. Changes nothing."""
        token, now = request.path_params["token"], self._web.clock.now()
        known = await self._web.database.reading(_pausing, self._web, token)
        until = known.before or snoozed_until(day_of(now), known.last_day)
        if until is None:
            raise TooLateToPause(last_day=known.last_day)
        return self._paused(request, known, Snooze(until, before=known.before is not None), asked=False)

    async def pause(self, request: Request) -> Response:
        """`POST /s/{token}`: pause them, once."""
        await read_form(request, self._own_hosts)
        token, peer, web = request.path_params["token"], _peer(request), self._web
        known = await web.database.reading(_pausing, web, token)

        def do(tx: Transaction, now: datetime) -> Snooze:
            link = open_link(tx, web.seal, token, Scope.SNOOZE, now)
            return snooze(tx, link, known.campaign, load_choices(tx), now, peer)

        return self._paused(request, known, await self._do(do), asked=True)

    def _paused(self, request: Request, known: _Pausing, paused: Snooze, *, asked: bool) -> Response:
        language = language_of(request, known.language)
        values = {
            **about_vendor(known.vendor),
            "customer": known.customer,
            "campaign": known.campaign.name[language],
            "until": said_day(paused.until, language),
            "stop_day": said_day(known.last_day, language),
            "done": asked or paused.before,
            "other_language": _switch(request, language),
            "action": f"{request.url.path}?lang={language}",
        }
        return self._pages.page("choice/pause.html", language, values)

    # --- how it is done --------------------------------------------------------------------------------------------

    async def _place(self, request: Request) -> Place:
        web = self._web
        return await web.database.reading(load_place, web.seal, request.path_params["token"], web.clock.now())

    async def _do(self, what: Callable[[Transaction, datetime], T]) -> T:
        """In one transaction, by the moment at which it is done."""
        return await self._web.group.run(_do_all, (what, self._web))

    async def _whose(self) -> dict[str, str]:
        return about_vendor(await self._web.database.reading(load_vendor))


def _do_all(tx: Transaction, pieces: Sequence[tuple[Callable[[Transaction, datetime], T], Web]]) -> list[T]:
    return [what(tx, web.clock.now()) for what, web in pieces]


@dataclass(frozen=True, slots=True)
class _Pausing:
    """What the page of a pause is made from."""

    campaign: Campaign
    vendor: Vendor | None
    customer: str
    language: str
    last_day: date
    before: date | None  # until when it was paused before; None: it was not


def _pausing(tx: Transaction, web: Web, token: str) -> _Pausing:
    link = open_link(tx, web.seal, token, Scope.SNOOZE, web.clock.now())
    choices, person = load_choices(tx), person_by_id(tx, link.person_id or 0)
    campaign, vendor = choices.campaign(link.about), load_vendor(tx)
    customer = web.directory.value.customer_by_id(link.customer_id)
    last_day = last_days(campaign, choices).get(link.customer_id, campaign.stop_date)
    before = load_past(tx, campaign).snoozed.get(person.id)
    return _Pausing(campaign, vendor, customer.name, person.language, last_day, before)


def _no_such_page(request: Request) -> NotFound:
    """Without saying which campaigns there are: that is nobody's affair."""
    return NotFound(kind="page", name=without_unsafe(request.url.path[:100]))


def _switch(request: Request, language: str) -> str:
    return f"{request.url.path}?lang={'en' if language == 'sv' else 'sv'}"


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def routes_of(pages: ChoicePages) -> Mapping[tuple[str, str], Handler]:
    """Every page, by path and method."""
    found: dict[tuple[str, str], Handler] = {
        ("/choose/{campaign}/{customer}", "GET"): pages.ask,
        ("/choose/{campaign}/{customer}", "POST"): pages.send_links,
        ("/c/{token}", "GET"): pages.show,
        ("/c/{token}/check", "POST"): pages.check,
        ("/c/{token}/choice", "POST"): pages.choose,
        ("/c/{token}/done", "GET"): pages.receipt,
        ("/c/{token}/renew", "POST"): pages.renew,
        ("/s/{token}", "GET"): pages.ask_pause,
        ("/s/{token}", "POST"): pages.pause,
    }
    return {where: pages.handler(function) for where, function in found.items()}
