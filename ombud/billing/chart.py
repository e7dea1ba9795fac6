"""A month's curve as SVG, and the same as a table: e-mails day by day, with the line of what is included and the projection.

Colours come from the page (`currentColor` and the classes), nothing is styled inline, and no script is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from ombud.billing.price import DAY
from ombud.billing.statement import Statement
from ombud.billing.wording import count_text, money_text, month_text
from ombud.clock import month_days

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 20, 36

_WORDS = {
    "sv": {
        "title": "Mejl i {month}",
        "so_far": "{emails} mejl till och med {day}.",
        "included": "{included} mejl ingår.",
        "line": "{included} ingår",
        "projection": "I samma takt blir det {emails} mejl och {net} exkl. moms.",
        "cap": "tak {cap}",
        "day": "dag",
        "emails": "mejl",
        "total": "summa i månaden",
    },
    "en": {
        "title": "E-mails in {month}",
        "so_far": "{emails} e-mails up to {day}.",
        "included": "{included} e-mails are included.",
        "line": "{included} included",
        "projection": "At this pace it comes to {emails} e-mails and {net} without VAT.",
        "cap": "cap {cap}",
        "day": "day",
        "emails": "e-mails",
        "total": "total in the month",
    },
}


def table(shown: Statement, language: str) -> list[tuple[str, str, str]]:
    """The same as text, with a heading: day, e-mails on it, and in the month so far."""
    words = _WORDS[language]
    head = (words["day"], words["emails"], words["total"])
    return [
        head,
        *(
            (one.day.isoformat(), count_text(one.emails, language), count_text(one.total, language))
            for one in shown.days
        ),
    ]


def svg(shown: Statement, language: str) -> str:
    """The month's curve: what has been sent in all by each day's end, a bar for each day, and the lines that matter."""
    return "\n".join(_svg(shown, language)) + "\n"


@dataclass(frozen=True, slots=True)
class _Scale:
    days: int
    most: int

    def x(self, days: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * days / self.days, 1)

    def y(self, emails: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * emails / self.most, 1)


def _svg(shown: Statement, language: str) -> Iterator[str]:
    words = {name: escape(text) for name, text in _WORDS[language].items()}
    since, until = month_days(shown.period)
    most = max(
        shown.emails,
        shown.included,
        shown.projection.emails if shown.projection else 0,
        shown.cap.emails if shown.cap else 0,
    )
    scale = _Scale((until - since).days, _round_up(most))
    title = words["title"].format(month=escape(month_text(shown.period, language)))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="chart" '
        'aria-labelledby="chart-title chart-desc">'
    )
    yield f'<title id="chart-title">{title}</title>'
    yield f'<desc id="chart-desc">{" ".join(_described(shown, language, words))}</desc>'
    yield from _axes(scale, language, (until - DAY).day)
    yield from _bars(shown, scale)
    if shown.included:
        label = words["line"].format(included=count_text(shown.included, language))
        yield from _level(scale, shown.included, "included", label)
    if shown.cap:
        yield from _level(
            scale, shown.cap.emails, "cap", words["cap"].format(cap=count_text(shown.cap.emails, language))
        )
    yield from _curve(shown, scale)
    yield "</svg>"


def _described(shown: Statement, language: str, words: dict[str, str]) -> Iterator[str]:
    day = shown.days[-1].day.isoformat() if shown.days else month_days(shown.period)[0].isoformat()
    yield words["so_far"].format(emails=count_text(shown.emails, language), day=day)
    if shown.included:
        yield words["included"].format(included=count_text(shown.included, language))
    if shown.projection:
        net = escape(money_text(shown.projection.net, language))
        yield words["projection"].format(emails=count_text(shown.projection.emails, language), net=net)


def _axes(scale: _Scale, language: str, last: int) -> Iterator[str]:
    for step in range(5):
        number = scale.most * step // 4
        y = scale.y(number)
        yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="currentColor" stroke-opacity="0.15"/>'
        yield f'<text class="axis" x="{LEFT - 8}" y="{y + 4}" text-anchor="end" font-size="12" fill="currentColor">{count_text(number, language)}</text>'
    for day in (1, 8, 15, 22, last):
        x = scale.x(day - 0.5)
        yield f'<text class="axis" x="{x}" y="{HEIGHT - 12}" text-anchor="middle" font-size="12" fill="currentColor">{day}</text>'


def _bars(shown: Statement, scale: _Scale) -> Iterator[str]:
    width = round((WIDTH - LEFT - RIGHT) / scale.days * 0.6, 1)
    for one in shown.days:
        if one.emails:
            x, y = scale.x(one.day.day - 0.8), scale.y(one.emails)
            height = round(HEIGHT - BOTTOM - y, 1)
            yield f'<rect class="bar" x="{x}" y="{y}" width="{width}" height="{height}" fill="currentColor" fill-opacity="0.25"/>'


def _level(scale: _Scale, emails: int, name: str, label: str) -> Iterator[str]:
    y = scale.y(emails)
    yield f'<line class="{name}" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="currentColor" stroke-dasharray="2 4"/>'
    yield f'<text class="{name}" x="{LEFT + 6}" y="{y - 6}" font-size="12" fill="currentColor">{escape(label)}</text>'


def _curve(shown: Statement, scale: _Scale) -> Iterator[str]:
    """Up to today as a line, from there to where the month is going as a broken one."""
    points = [f"{scale.x(0)},{scale.y(0)}", *(f"{scale.x(one.day.day)},{scale.y(one.total)}" for one in shown.days)]
    yield f'<polyline class="curve" points="{" ".join(points)}" fill="none" stroke="currentColor" stroke-width="2"/>'
    if shown.projection and shown.days:
        end = f"{scale.x(scale.days)},{scale.y(shown.projection.emails)}"
        yield f'<polyline class="projection" points="{points[-1]} {end}" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="6 5"/>'


def _round_up(number: int) -> int:
    """The next number whose quarters are round: 4, 8, 20, 40, 80, 200 and so on."""
    step = 4
    while step < number:
        step = step * 5 // 2 if str(step).startswith("8") else step * 2
    return step
