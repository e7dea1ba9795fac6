"""What a changed campaign comes to, told to whoever applies it: dates old -> new, texts as a diff, and what is dangerous."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff

from ombud.accounts import Directory
from ombud.choices import LANGUAGES, Alternative, Campaign, Choices, Page, Reserve
from ombud.routing import Facts

_PLAIN = (
    "start_date", "risk_date", "stop_date", "last_extension_date", "end_date", "zone", "after_stop", "hold_days", "go_live", "price_plan",
)  # fmt: skip
_OF_AN_ALTERNATIVE = ("kind", "route", "needs", "recommended", "price_plan")

PageTexts = Mapping[tuple[Page, str], str]


@dataclass(frozen=True, slots=True)
class Named:
    """Ids as people know them."""

    directory: Directory
    facts: Facts

    def product(self, number: int) -> str:
        return self.directory.product_by_id(number).slug

    def route(self, number: int | None) -> str:
        return self.facts.routes[number].slug if number is not None else "none"

    def reserve(self, reserve: Reserve | None) -> str:
        return f"{self.route(reserve.route_id)} as {reserve.address}" if reserve else "none"


@dataclass(frozen=True, slots=True)
class Change:
    """From one version of a campaign to the next."""

    before: Campaign
    after: Campaign
    named: Named

    def told(self) -> Iterator[str]:
        """`name: old -> new` for each thing that differs; of a text only that it does."""
        before, after = self.before, self.after
        for name in _PLAIN:
            yield from _differing(name, getattr(before, name), getattr(after, name))
        yield from _differing(
            "allowed_regions", sorted(before.allowed_regions) or "all", sorted(after.allowed_regions) or "all"
        )
        yield from _differing("reserve", self.named.reserve(before.reserve), self.named.reserve(after.reserve))
        for product in sorted({*before.products, *after.products}):
            routes = [self.named.route(one.products.get(product)) for one in (before, after)]
            yield from _differing(f"product {self.named.product(product)}", *routes)
        if before.name != after.name:
            yield "name"
        yield from self._alternatives()
        for page, language in sorted({*before.pages, *after.pages}):
            versions = [
                one.pages[page, language].version if (page, language) in one.pages else None for one in (before, after)
            ]
            yield from _differing(f"{page}.{language}.md: version", *versions)

    def _alternatives(self) -> Iterator[str]:
        old = {one.slug: one for one in self.before.alternatives}
        for one in self.after.alternatives:
            there, called = old.get(one.slug), f"alternative {one.slug}"
            if one.offered and (there is None or not there.offered):
                yield f"{called}: added"
            elif there and there.offered and not one.offered:
                yield f"{called}: offered no more"
            elif there:
                for name in _OF_AN_ALTERNATIVE:
                    yield from _differing(f"{called}: {name}", getattr(there, name), getattr(one, name))
                yield from (
                    f"{called}: {name}" for name in ("name", "text") if getattr(there, name) != getattr(one, name)
                )

    def dangers(self, choices: Choices, now: datetime) -> Iterator[str]:
        """What happens to customers who do not know of it."""
        before, after = self.before, self.after
        if before.stop_at != after.stop_at:
            at_once = (
                ", which is over: mail of those who have not chosen stops at once"
                if before.stop_at > now >= after.stop_at
                else ""
            )
            yield f"the stop date moves from {before.stop_date} to {after.stop_date}{at_once}"
        in_force = [one for one in choices.extensions_in(before.id) if one.in_force(now)]
        if longer := [one for one in in_force if one.until > after.last_extension_date >= before.stop_date]:
            yield f"{len(longer)} extensions in force last longer than {after.last_extension_date}"
        chosen = [one.alternative for one in choices.active_in(before.id).values()]
        new = {one.slug: one for one in after.alternatives}
        for one in before.offered:
            count, now_is = chosen.count(one.slug), new[one.slug]
            if count and not now_is.offered:
                yield f"the alternative {one.slug} is offered no more, and {count} customers have chosen it"
            elif count and now_is.route != one.route:
                yield f"the alternative {one.slug} leads to another route than the one of the {count} customers who have chosen it"
        for product in before.products.keys() - after.products.keys():
            yield f"the product {self.named.product(product)} leaves the campaign: its mail goes on whether one has chosen or not"

    def diff(self, old: PageTexts, new: PageTexts) -> str:
        """Every text that differs, as a unified diff."""
        return "\n".join(
            line
            for name, one, other in self._texts(old, new)
            if one != other
            for line in unified_diff(
                one.splitlines(), other.splitlines(),
                f"{name} (version {self.before.version})", f"{name} (version {self.after.version})", lineterm="",
            )
        )  # fmt: skip

    def _texts(self, old: PageTexts, new: PageTexts) -> Iterator[tuple[str, str, str]]:
        """Name, old text, new text."""
        for language in LANGUAGES:
            yield f"name.{language}", self.before.name[language], self.after.name[language]
            was, now = ({one.slug: one for one in campaign.alternatives} for campaign in (self.before, self.after))
            for slug in now:  # those offered no more are still among them
                yield (
                    f"{slug}.name.{language}",
                    _text(was.get(slug), "name", language),
                    _text(now[slug], "name", language),
                )
                yield (
                    f"{slug}.text.{language}",
                    _text(was.get(slug), "text", language),
                    _text(now[slug], "text", language),
                )
            for page in Page:
                yield f"{page}.{language}.md", old.get((page, language), ""), new.get((page, language), "")


def _text(alternative: Alternative | None, name: str, language: str) -> str:
    return str(getattr(alternative, name)[language]) if alternative else ""


def _differing(name: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{name}: {_said(old)} -> {_said(new)}"


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
