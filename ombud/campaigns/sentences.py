"""What a campaign's letters and pages say of dates, time left and what remains to be done, in the reader's language."""

from __future__ import annotations

from datetime import date, timedelta

from ombud.choices import AfterStop, Alternative, Campaign, Kind, Need
from ombud.wording import said_day, said_number

_DAY = timedelta(days=1)

#: What the one who has the ball is to do, by the code of the next step (`nextsteps.py` says the same to the vendor's staff).
TASKS = {
    "give_server": (
        "Lämna uppgifter om er e-postserver, eller om Microsoft 365, så att vi kan skicka den vägen. Svara på det här mejlet, så ringer vi.",
        "Tell us about your mail server, or about Microsoft 365, so that we can send that way. Answer this e-mail and we call you.",
    ),
    "give_domain": (
        "Ange vilken domän ni skickar från, till exempel det som står efter @ i er adress. Svara på det här mejlet med den.",
        "Name the domain that you send from: what stands after the @ in your address. Answer this e-mail with it.",
    ),
    "consent": (
        "Låt er Microsoft-administratör godkänna att vi skickar genom er Microsoft 365-miljö.",
        "Have your Microsoft administrator consent to our sending by your Microsoft 365.",
    ),
    "mend_server": (
        "Vårt provmejl genom er server blev inte godkänt: servern signerar inte mejlen med er domän. Be den som sköter servern att slå på DKIM.",
        "Our test message by your server could not be authenticated: it does not sign with your domain. Have whoever runs it turn on DKIM.",
    ),
    "records_customer": (
        "Lägg in DNS-posterna för er domän, eller be er IT-leverantör göra det.",
        "Add the DNS records of your domain, or have your IT supplier do it.",
    ),
    "records_supplier": ("Lägg in DNS-posterna.", "Add the DNS records."),
}  # fmt: skip


def task(code: str, language: str) -> str:
    """What the reader is to do; "" where the next step is nobody's outside."""
    return TASKS[code][language != "sv"] if code in TASKS else ""


def remaining(days: int, language: str) -> str:
    """How much time there is: `24 dagar kvar`, `24 days remain`."""
    if language == "sv":
        return f"{days} {'dag' if days == 1 else 'dagar'} kvar"
    return f"{days} {'day remains' if days == 1 else 'days remain'}"


def consequence(campaign: Campaign, last_day: date, today: date, language: str) -> str:
    """What happens without a choice that is live; "" once it has happened."""
    if today > last_day:
        return ""
    day = said_day(last_day, language)
    if campaign.after_stop is AfterStop.HOLD:
        days = campaign.hold_days
        if language == "sv":
            return (
                f"Efter {day} hålls er e-post kvar i upp till {days} dagar, och skickas först när ert val är i drift."
            )
        return f"After {day} your e-mail is held for up to {days} days, and sent only when your choice is live."
    return f"Efter {day} skickas inte er e-post." if language == "sv" else f"After {day} your e-mail is not sent."


def stopped(last_day: date, today: date, language: str) -> str:
    """That it has happened; "" before."""
    if today <= last_day:
        return ""
    day = said_day(last_day + _DAY, language)
    if language == "sv":
        return f"Sedan {day} skickas inte e-posten, och den startar först när det här är klart."
    return f"Since {day} the e-mail is not sent, and it starts only when this is done."


def risk(campaign: Campaign, today: date, language: str) -> str:
    day = said_day(campaign.risk_date, language)
    if today < campaign.risk_date:
        if language == "sv":
            return f"Redan från {day} riskerar era mejl att inte nå mottagare som har Gmail."
        return f"Already from {day} your e-mail risks not reaching those who have Gmail."
    if language == "sv":
        return "Redan nu riskerar era mejl att inte nå mottagare som har Gmail."
    return "Already now your e-mail risks not reaching those who have Gmail."


def recommendation(alternative: Alternative | None, language: str) -> str:
    """Which alternative is recommended; "" where none is."""
    if alternative is None:
        return ""
    name = alternative.name[language]
    return f"Vi rekommenderar ”{name}”." if language == "sv" else f"We recommend “{name}”."


def more_time(campaign: Campaign, today: date, language: str) -> str:
    if campaign.last_extension_date <= max(today, campaign.stop_date):
        return ""
    day = said_day(campaign.last_extension_date, language)
    if language == "sv":
        return f"Hinner ni inte? Svara och skriv varför, så kan ni få mer tid. Längre än till {day} går det inte."
    return f"Not enough time? Answer and tell us why, and you may be given more. It cannot be later than {day}."


def after_stop(campaign: Campaign, language: str) -> str:
    """What happens to mail from the next midnight on."""
    if campaign.after_stop is AfterStop.HOLD:
        days = campaign.hold_days
        if language == "sv":
            return f"Det som skickas efter midnatt hålls kvar i upp till {days} dagar, och går när ert val är i drift."
        return f"What is sent after midnight is held for up to {days} days, and leaves when your choice is live."
    if language == "sv":
        return "Det går att välja efter midnatt också, men det som har nekats måste skickas på nytt."
    return "You can choose after midnight too, but what has been refused has to be sent again."


def what_now(alternative: Alternative, language: str, *, is_stopped: bool = False) -> str:
    """What happens after the choice, and who does it. `is_stopped`: the last day is over, and the mail waits for it."""
    needs, own = alternative.needs, alternative.kind is Kind.OWN
    swedish, english = [], []
    if own:
        swedish.append("Vi hör av oss om uppgifterna till er e-postserver, eller om Microsoft 365.")
        english.append("We get in touch about the details of your mail server or your Microsoft 365.")
    if Need.RECORDS in needs:
        swedish.append(
            "Ni får DNS-poster att lägga in, eller att skicka vidare till er IT-leverantör. Vi ser själva när de är på plats."
        )
        english.append(
            "You get DNS records to add, or to hand on to your IT supplier. We see by ourselves when they are there."
        )
    if Need.PROVEN in needs:
        swedish.append("Sedan skickar vi ett provmejl och kontrollerar att det blir godkänt.")
        english.append("Then we send a test message and check that it can be authenticated.")
    if is_stopped:
        swedish.append("När allt är klart startar er e-post igen, och du får ett mejl.")
        english.append("When all is ready your e-mail starts again, and you get a message.")
    else:
        swedish.append("När allt är klart slår vi över, och du får ett mejl. Till dess skickas er e-post som förut.")
        english.append(
            "When all is ready we switch over, and you get a message. Until then your e-mail is sent as before."
        )
    return " ".join(swedish if language == "sv" else english)


def duties(alternative: Alternative, language: str) -> tuple[list[str], list[str]]:
    """What the customer does for an alternative, and what the vendor does: each a short line."""
    theirs: list[tuple[str, str]] = []
    ours: list[tuple[str, str]] = []
    if alternative.kind is Kind.OWN:
        theirs.append((
            "Lämnar uppgifter om er e-postserver, eller godkänner i Microsoft 365.",
            "Give the details of your mail server, or consent in your Microsoft 365.",
        ))  # fmt: skip
        ours.append(("Ansluter oss till den.", "Connect to it."))
    if Need.RECORDS in alternative.needs:
        theirs.append((
            "Lägger in DNS-poster för DKIM och SPF. Er IT-leverantör kan göra det åt er.",
            "Add DNS records for DKIM and SPF. Your IT supplier can do it for you.",
        ))  # fmt: skip
        ours.append(("Tar fram posterna, och kontrollerar dem.", "Prepare the records, and check them."))
    if Need.PROVEN in alternative.needs:
        ours.append((
            "Skickar ett provmejl och kontrollerar att det blir godkänt.", "Send a test message and see that it can be authenticated."
        ))  # fmt: skip
    ours.append(("Slår över när allt är klart.", "Switch over when all is ready."))
    place = 0 if language == "sv" else 1
    return [one[place] for one in theirs], [one[place] for one in ours]


def number_or_none(number: int, language: str) -> str:
    """A number; "" for none, so that the sentence about it is left out."""
    return said_number(number, language) if number else ""
