"""The tree of Ombud's errors. Each says whose move it is, and speaks SMTP, HTTP and both languages.

OmbudError                     what nobody has foreseen
├── Refused                    the sender must change something; the same again gets the same answer
│   ├── NotAuthenticated       who is asking?
│   │   · BadCredentials, TlsRequired, BadHookSignature
│   ├── NotAllowed             known, but may not
│   │   · sending: DomainNotYours, CustomerUnclear, CustomerSuspended
│   │   · routing: NoRoute, RegionNotAllowed, NoActiveChoice, RouteNotTheirs
│   │   · domains: DomainTaken, ClaimNotSeen
│   │   · choices: MayNotChoose, SelfApproval, ShownChanged, FormFromElsewhere
│   │   · letters: TooLateToPause, NoVendor
│   │   └── LinkRefused        a personal link does not open
│   │       · LinkForged, LinkExpired, LinkRevoked, LinkOfAnotherKind
│   ├── BadMessage             the bytes are wrong
│   │   · BareLineBreak, NulByte, LastLineOpen, LineTooLong, HeaderMalformed, HeaderRepeated, FromNotSingle,
│   │     MailLoop, TooBig
│   ├── BadRequest             the call is wrong
│   │   · fields: BadAddress, BadField, MissingVariable, TooManyRecipients
│   │   · calls: BadJson, BodyTooBig, WrongMediaType, MethodNotAllowed, IdempotencyMismatch, WrongState
│   │   · files: BadCsv, BadCount, FileUnusable
│   │   · domains: NotADomain, FreeMail, PublicSuffix, DomainUnknown, SelectorTaken, RotationUnderWay
│   │   · choices: CampaignEnded, AlternativeNotOffered, ChoiceConflict, PastLastExtension
│   │   · going live: CaseNumberTaken, NotReadyToGoLive, SwitchedMeanwhile
│   │   · routing: SwitchOver, OverrideOver, BrownoutOver
│   │   · price plans: UnknownCurrency, BadPlan, PlanFixed, SubscriptionConflict
│   │   · months: PeriodNotEnded, PeriodLocked, PeriodNotLocked, LaterPeriodLocked, EarlierPeriodOpen,
│   │     NotPreviewed, PreviewDiffers, PreviewHasFaults, CreditTooLarge, NothingToCredit
│   │   · exports: InvoicesIncomplete, ExportOverlaps, ExportDiffers, ExportFileTaken
│   └── NotFound               nothing by that name here (or not for you: the two are never told apart)
│       · UnknownCampaign, NoCampaign, NoPlan, NothingToExport
├── TryLater                   we, or the next hop, will be able to: nothing was accepted, send it again
│   · TooFast, TooMany, TooBusy, TooManyFailures, TooSlow, TooSoon, DiskFull, ShuttingDown, StillRunning
│   └── DatabaseGone           the database does not answer
│       · DatabaseNotOpened
├── Misconfigured              the operator must change something; raised at start or by a command, never at a sender
│   · NoInstallation, UnsafeDatabase, EditNeedsYes, SellerMissing, PdfNotInstalled, NoProbeMailbox, NoVendorZone,
│     ZoneNotTaken
└── ExportUnsound              Ombud itself is wrong, and has seen it in time

A class's docstring is its English text, `sv` the Swedish one; `{name}` in them is filled from the keyword arguments.
`code` is stable: programs branch on it, `docs/errors.md` lists it, and no code is ever given a second meaning.
"""

from __future__ import annotations

from typing import ClassVar


class OmbudError(Exception):
    """Something went wrong inside Ombud; nothing was accepted."""

    code: ClassVar[str] = "internal_error"
    sv: ClassVar[str] = "Något gick fel i Ombud; inget togs emot."
    http: ClassVar[int] = 500
    smtp: ClassVar[tuple[int, str]] = (451, "4.3.0")
    #: Whether the same call may succeed later without anyone changing anything: TryLater's, and what nobody has foreseen.
    retryable: ClassVar[bool] = True

    def __init__(self, **details: object) -> None:
        self.details = details
        super().__init__(self.text())

    def text(self, language: str = "en") -> str:
        """The sentence for a person, in `sv` or `en`, with the details filled in."""
        pattern = self.sv if language == "sv" else " ".join((type(self).__doc__ or "").split())
        return self._filled(pattern, language).replace("?.", "?")  # a detail may end in a question of its own

    def _filled(self, pattern: str, language: str) -> str:
        return pattern.format_map(_Details(self.details))


class _Details(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


# --- Refused ---------------------------------------------------------------------------------------------------------


class Refused(OmbudError):
    """The message was refused."""

    code = "refused"
    sv = "E-postmeddelandet avvisades."
    http = 400
    smtp = (550, "5.7.1")
    retryable = False


# --- NotAuthenticated ---


class NotAuthenticated(Refused):
    """Authentication is needed."""

    code = "not_authenticated"
    sv = "Inloggning krävs."
    http = 401
    smtp = (530, "5.7.0")


class BadCredentials(NotAuthenticated):
    """The user name or the key is wrong, or the key has been revoked."""

    code = "bad_credentials"
    sv = "Användarnamnet eller nyckeln är fel, eller så är nyckeln återkallad."
    smtp = (535, "5.7.8")


class TlsRequired(NotAuthenticated):
    """Start TLS first: this server takes no credentials and no mail over an open connection."""

    code = "tls_required"
    sv = "Starta TLS först: servern tar varken emot inloggning eller e-post över en öppen förbindelse."
    smtp = (530, "5.7.0")


class BadHookSignature(NotAuthenticated):
    """The call is not signed with this installation's secret, or was signed more than {minutes} minutes ago. Sign it anew."""

    code = "bad_hook_signature"
    sv = "Anropet är inte signerat med installationens hemlighet, eller signerades för mer än {minutes} minuter sedan. Signera det på nytt."


# --- NotAllowed ---


class NotAllowed(Refused):
    """This credential may not do that."""

    code = "not_allowed"
    sv = "Nyckeln får inte göra detta."
    http = 403


# --- NotAllowed: sending ---


class DomainNotYours(NotAllowed):
    """The sender domain {domain} is not proved for this customer. Prove it first, or send from a domain that is."""

    code = "domain_not_proved"
    sv = "Avsändardomänen {domain} är inte styrkt för den här kunden. Styrk den först, eller skicka från en domän som är det."


class CustomerUnclear(NotAllowed):
    """The credential serves many customers: name one with X-Ombud-Customer, or send from a customer's proved domain."""

    code = "customer_unclear"
    sv = "Nyckeln gäller flera kunder: ange en med X-Ombud-Customer, eller skicka från en kunds styrkta domän."


class CustomerSuspended(NotAllowed):
    """The customer {customer} is suspended; its mail is not accepted."""

    code = "customer_suspended"
    sv = "Kunden {customer} är avstängd; dess e-post tas inte emot."


# --- NotAllowed: routing ---


class NoRoute(NotAllowed):
    """There is no way out for {customer} and {product}: neither a route of the customer's nor one of the product's."""

    code = "no_route"
    sv = "Det finns ingen väg ut för {customer} och {product}: varken kunden eller produkten har någon."
    http = 409


class RegionNotAllowed(NotAllowed):
    """The route {route} is in {region}, outside the regions that mail may pass ({allowed})."""

    code = "region_not_allowed"
    sv = "Vägen {route} ligger i {region}, utanför de områden som e-posten får passera ({allowed})."
    http = 409


class NoActiveChoice(NotAllowed):
    """{customer} has no choice in force for its e-mail from {product}, and the last day was {stop_date}. Choose, or see what is missing, here: {url}"""

    code = "no_active_choice"
    sv = "{customer} har inget val i drift för sin e-post från {product}, och sista dagen var {stop_date}. Välj, eller se vad som saknas, här: {url}"
    http = 409


class RouteNotTheirs(NotAllowed):
    """The route {route} is another customer's own, or goes nowhere. Name one of the vendor's, or the customer's own."""

    code = "route_not_theirs"
    sv = "Vägen {route} är en annan kunds egen, eller leder ingenstans. Ange en av leverantörens, eller kundens egen."
    http = 409


# --- NotAllowed: domains ---


class DomainTaken(NotAllowed):
    """The domain {domain} is already proved by someone else; contact the operator if that is wrong."""

    code = "domain_taken"
    sv = "Domänen {domain} är redan styrkt av någon annan; kontakta driften om det är fel."
    http = 409


class ClaimNotSeen(NotAllowed):
    """The token of the claim on {domain} is not in DNS yet. Add a TXT record {name} with the value {value}; we look again by ourselves."""

    code = "claim_not_seen"
    sv = "Koden för anspråket på {domain} finns inte i DNS ännu. Lägg in en TXT-post {name} med värdet {value}; vi tittar igen av oss själva."
    http = 409


# --- NotAllowed: choices ---


class MayNotChoose(NotAllowed):
    """{person} may not choose for {customer}. Ask someone at the company who may, or let the vendor give the right."""

    code = "may_not_choose"
    sv = (
        "{person} får inte välja för {customer}. Be någon på företaget som får, eller låt leverantören ge behörigheten."
    )


class SelfApproval(NotAllowed):
    """{by} asked for this and cannot approve it too. Let another person do that."""

    code = "self_approval"
    sv = "{by} har själv begärt detta och kan inte också godkänna det. Låt någon annan göra det."
    http = 409


class ShownChanged(NotAllowed):
    """The text or the price has changed since you read it, so nothing was chosen. Read it again, and choose then."""

    code = "shown_changed"
    sv = "Texten eller priset har ändrats sedan du läste, så inget har valts. Läs igen, och välj sedan."
    http = 409


class FormFromElsewhere(NotAllowed):
    """The form was not sent from this server's own page, so nothing was done. Open the link in the letter, and send it from there."""

    code = "form_from_elsewhere"
    sv = "Formuläret skickades inte från den här serverns egen sida, så inget gjordes. Öppna länken i brevet och skicka därifrån."


# --- NotAllowed: letters ---


class TooLateToPause(NotAllowed):
    """The last day is {last_day}: that is too near for the reminders to be paused. Make the choice, or answer the letter."""

    code = "too_late_to_pause"
    sv = "Sista dagen är {last_day}: det är för nära för att pausa påminnelserna. Gör valet, eller svara på brevet."
    http = 409


class NoVendor(NotAllowed):
    """Nobody is set as the sender of letters. Add name, customer and sender to [vendor], and `ombud apply` the file."""

    code = "no_vendor"
    sv = "Ingen är angiven som avsändare av brev. Lägg in name, customer och sender under [vendor], och kör `ombud apply`."
    http = 409


# --- LinkRefused ---


class LinkRefused(NotAllowed):
    """This link cannot be used."""

    code = "link_refused"
    sv = "Den här länken går inte att använda."


class LinkForged(LinkRefused):
    """This link is not one of ours, or a part of it is missing. Copy the whole link from the letter, or ask for a new one."""

    code = "link_forged"
    sv = "Länken är inte vår, eller så saknas en del av den. Kopiera hela länken ur brevet, eller be om en ny."
    http = 404


class LinkExpired(LinkRefused):
    """This link was valid until {until}. Ask for a new one: it is sent to the address that the first one went to."""

    code = "link_expired"
    sv = "Länken gällde till {until}. Be om en ny: den skickas till samma adress som den första."
    http = 410


class LinkRevoked(LinkRefused):
    """This link was withdrawn on {at}. Use the newest letter, or ask for a new link."""

    code = "link_revoked"
    sv = "Länken drogs tillbaka {at}. Använd det senaste brevet, eller be om en ny länk."
    http = 410


class LinkOfAnotherKind(LinkRefused):
    """This link opens another page than this one. Use it exactly as it stands in the letter."""

    code = "link_of_another_kind"
    sv = "Länken öppnar en annan sida än den här. Använd den precis som den står i brevet."


# --- BadMessage ---


class BadMessage(Refused):
    """The message is malformed."""

    code = "bad_message"
    sv = "E-postmeddelandet är felaktigt uppbyggt; rätta det och skicka igen."
    http = 422
    smtp = (554, "5.6.0")


class BareLineBreak(BadMessage):
    """The message holds a bare CR or LF (at byte {offset}); every line must end with CRLF."""

    code = "bare_line_break"
    sv = "Meddelandet innehåller ett ensamt CR eller LF (vid byte {offset}); varje rad måste sluta med CRLF."
    smtp = (550, "5.6.11")  # what Exchange and Postfix answer; no RFC has a code for it


class NulByte(BadMessage):
    """The message holds a NUL byte (at byte {offset})."""

    code = "nul_byte"
    sv = "Meddelandet innehåller en NUL-byte (vid byte {offset}); ta bort den."
    smtp = (550, "5.6.11")


class LastLineOpen(BadMessage):
    """The last line of the message does not end with CRLF."""

    code = "last_line_open"
    sv = "Meddelandets sista rad slutar inte med CRLF; avsluta den."


class LineTooLong(BadMessage):
    """Line {line} is longer than 998 bytes; fold it, or encode the part as quoted-printable or base64."""

    code = "line_too_long"
    sv = "Rad {line} är längre än 998 byte; vik den, eller koda delen som quoted-printable eller base64."


class HeaderMalformed(BadMessage):
    """The header is malformed: {reason}."""

    code = "header_malformed"
    sv = "Brevhuvudet är felaktigt uppbyggt: {reason}."


class HeaderRepeated(BadMessage):
    """The header field {name} may stand once, and stands {count} times."""

    code = "header_repeated"
    sv = "Fältet {name} får bara finnas en gång, men finns {count} gånger."


class FromNotSingle(BadMessage):
    """The message must have exactly one From field with exactly one address: {reason}."""

    code = "from_not_single"
    sv = "Meddelandet måste ha exakt ett From-fält med exakt en adress: {reason}."


class MailLoop(BadMessage):
    """The message has passed more than {hops} servers: it is going round."""

    code = "mail_loop"
    sv = "Meddelandet har passerat fler än {hops} servrar: det går runt."
    smtp = (554, "5.4.6")


class TooBig(BadMessage):
    """The message is larger than {limit} bytes."""

    code = "message_too_big"
    sv = "Meddelandet är större än {limit} byte."
    http = 413
    smtp = (552, "5.3.4")


# --- BadRequest ---


class BadRequest(Refused):
    """The call is wrong: {reason}."""

    code = "bad_request"
    sv = "Anropet är fel: {reason}."
    http = 422
    smtp = (501, "5.5.4")


# --- BadRequest: fields ---


class BadAddress(BadRequest):
    """The address {address} is not valid: {reason}."""

    code = "bad_address"
    sv = "Adressen {address} går inte att använda: {reason}."
    smtp = (501, "5.1.3")


class BadField(BadRequest):
    """The field {field} is wrong: {reason}."""

    code = "bad_field"
    sv = "Fältet {field} är fel: {reason}."


class MissingVariable(BadRequest):
    """The content names {{{{{name}}}}}, and this recipient gives no value for it."""

    code = "missing_variable"
    sv = "Innehållet nämner {{{{{name}}}}}, men mottagaren har inget värde för det."


class TooManyRecipients(BadRequest):
    """A message may have at most {limit} recipients."""

    code = "too_many_recipients"
    sv = "Ett meddelande får ha högst {limit} mottagare."
    smtp = (452, "4.5.3")  # RFC 5321 4.5.3.1.10: the client sends the rest in a message of its own


# --- BadRequest: calls ---


class BadJson(BadRequest):
    """The body is not JSON as it must be: {reason}."""

    code = "bad_json"
    sv = "Anropets innehåll är inte JSON så som det ska vara: {reason}."
    http = 400


class BodyTooBig(BadRequest):
    """The body of the call is larger than {limit} bytes."""

    code = "body_too_big"
    sv = "Anropets innehåll är större än {limit} byte."
    http = 413


class WrongMediaType(BadRequest):
    """Send the body as application/json in UTF-8, not compressed."""

    code = "wrong_media_type"
    sv = "Skicka innehållet som application/json i UTF-8, utan komprimering."
    http = 415


class MethodNotAllowed(BadRequest):
    """{method} is not possible here; what is: {allowed}."""

    code = "method_not_allowed"
    sv = "{method} går inte här; det som går är {allowed}."
    http = 405


class IdempotencyMismatch(BadRequest):
    """The Idempotency-Key {key} has been used with another body."""

    code = "idempotency_mismatch"
    sv = "Idempotency-Key {key} har redan använts med ett annat innehåll."


class WrongState(BadRequest):
    """That is not possible any more: the state is {state}."""

    code = "wrong_state"
    sv = "Det går inte längre: tillståndet är {state}."
    http = 409


# --- BadRequest: files ---


class BadCsv(BadRequest):
    """{file}, line {line}: {reason}. Nothing was changed."""

    code = "bad_csv"
    sv = "{file}, rad {line}: {reason}. Inget har ändrats."


class BadCount(BadRequest):
    """{file}, line {line}: {reason}. Nothing was taken in."""

    code = "bad_count"
    sv = "{file}, rad {line}: {reason}. Inget har lästs in."


class FileUnusable(BadRequest):
    """The file {file} cannot be used: {reason}."""

    code = "file_unusable"
    sv = "Filen {file} går inte att använda: {reason}."


# --- BadRequest: domains ---


class NotADomain(BadRequest):
    """{typed} is not a domain: {reason_en}. Type, for instance, {instead}."""

    code = "not_a_domain"
    sv = "{typed} är ingen domän: {reason_sv}. Skriv till exempel {instead}."


class FreeMail(BadRequest):
    """{domain} is a free-mail domain: nobody but its owner can authenticate mail from it. Choose a domain of the company's own."""

    code = "domain_freemail"
    sv = "{domain} är en gratisadress: ingen utom dess ägare kan äkthetsmärka mejl därifrån. Välj en domän som företaget äger."


class PublicSuffix(BadRequest):
    """{domain} is a suffix that many share. Give the company's own domain under it, such as company.{domain}."""

    code = "domain_public_suffix"
    sv = "{domain} är en ändelse som många delar på. Ange företagets egen domän under den, till exempel företaget.{domain}."


class DomainUnknown(BadRequest):
    """{domain} belongs to no customer here. Add it first: `ombud domains add {domain} --customer ...`."""

    code = "domain_unknown"
    sv = "{domain} hör inte till någon kund här. Lägg till den först: `ombud domains add {domain} --customer ...`."
    http = 404


class SelectorTaken(BadRequest):
    """{domain} has a key under the selector {selector} already. Take another selector."""

    code = "selector_taken"
    sv = "{domain} har redan en nyckel med selektorn {selector}. Välj en annan selektor."
    http = 409


class RotationUnderWay(BadRequest):
    """The keys of {domain} are being changed already; the old one is kept until {until}, for mail that is on its way. Ask again then."""

    code = "rotation_under_way"
    sv = "Nycklarna för {domain} håller redan på att bytas; den gamla finns kvar till {until}, för mejl som är på väg. Försök igen då."
    http = 409


# --- BadRequest: choices ---


class CampaignEnded(BadRequest):
    """The campaign {campaign} ended on {end_date}: nothing can be chosen in it any more. Choose in the one that came after it."""

    code = "campaign_ended"
    sv = "Kampanjen {campaign} avslutades {end_date}: där går det inte att välja längre. Välj i den kampanj som kom efter."
    http = 409


class AlternativeNotOffered(BadRequest):
    """The campaign {campaign} does not offer the alternative {alternative}. Choose one of: {offered}."""

    code = "alternative_not_offered"
    sv = "Kampanjen {campaign} erbjuder inte alternativet {alternative}. Välj något av: {offered}."


class ChoiceConflict(BadRequest):
    """{customer} has been chosen for meanwhile, by {by}: {alternative}. Look at that choice, and change it if it is not right."""

    code = "choice_conflict"
    sv = "Någon annan hann före: {by} har gjort ett val för {customer}: {alternative}. Titta på det valet, och ändra det om det inte är rätt."
    http = 409


class PastLastExtension(BadRequest):
    """No extension in the campaign {campaign} may last longer than {last}. Give a day that is not after it."""

    code = "past_last_extension"
    sv = "Ingen förlängning i kampanjen {campaign} får gälla längre än till {last}. Ange en dag som inte ligger efter det."


# --- BadRequest: going live ---


class CaseNumberTaken(BadRequest):
    """The number {number} is that of another case, {reference}: there is one case per company. Check which of them it is."""

    code = "case_number_taken"
    sv = "Numret {number} hör redan till ett annat ärende, {reference}: det är ett ärende per företag. Kontrollera vilket det gäller."
    http = 409


class NotReadyToGoLive(BadRequest):
    """{customer} cannot go live with {alternative} yet: {lacks}. See to that first, or go live all the same with a reason."""

    code = "not_ready_to_go_live"
    sv = "{customer} kan inte slås över till {alternative_sv} än: {lacks_sv}. Ordna det först, eller slå över ändå och ange ett skäl."
    http = 409


class SwitchedMeanwhile(BadRequest):
    """Somebody else has switched {customer} meanwhile. Look at where it stands, and do it again if it is still to be done."""

    code = "switched_meanwhile"
    sv = "Någon annan har slagit om {customer} under tiden. Titta på hur det står till, och gör om det om det fortfarande behövs."
    http = 409


# --- BadRequest: routing ---


class SwitchOver(BadRequest):
    """The switch {switch} is rolled back already. Put a new one to go over again."""

    code = "switch_over"
    sv = "Omslaget {switch} är redan återställt. Lägg ett nytt för att slå över igen."
    http = 409


class OverrideOver(BadRequest):
    """The override {override} is over already. Put a new one if it is still needed."""

    code = "override_over"
    sv = "Undantaget {override} har redan upphört. Lägg ett nytt om det fortfarande behövs."
    http = 409


class BrownoutOver(BadRequest):
    """The brownout {brownout} is approved, paused or past already; that cannot be done to it any more."""

    code = "brownout_over"
    sv = "Provstoppet {brownout} är redan godkänt, pausat eller förbi; det går inte längre att ändra så."
    http = 409


# --- BadRequest: price plans ---


class UnknownCurrency(BadRequest):
    """The currency {currency} cannot be billed in. Use one of: {known}."""

    code = "unknown_currency"
    sv = "Det går inte att fakturera i valutan {currency}. Använd någon av: {known}."


class BadPlan(BadRequest):
    """The price plan {plan} cannot be used: {reason}."""

    code = "bad_price_plan"
    sv = "Prisplanen {plan} går inte att använda: {reason}."


class PlanFixed(BadRequest):
    """The version of {plan} that is valid from {valid_from} is in force already and cannot be changed. Add one that is valid from a later day."""

    code = "price_plan_fixed"
    sv = "Versionen av {plan} som gäller från {valid_from} är redan i kraft och går inte att ändra. Lägg till en som gäller från en senare dag."
    http = 409


class SubscriptionConflict(BadRequest):
    """{customer} pays by {plan} already. Stop that first: `ombud billing stop --customer {customer} --reason ...`."""

    code = "subscription_conflict"
    sv = "{customer} betalar redan enligt {plan}. Avsluta det först: `ombud billing stop --customer {customer} --reason ...`."
    http = 409


# --- BadRequest: months ---


class PeriodNotEnded(BadRequest):
    """{period} has not ended. It can be locked from {first_day}."""

    code = "period_not_ended"
    sv = "{period} är inte slut. Månaden går att låsa från {first_day}."
    http = 409


class PeriodLocked(BadRequest):
    """{period} is locked since {at}. What is locked is never changed: credit it, or let the difference come with the next month."""

    code = "period_locked"
    sv = "{period} är låst sedan {at}. Det som är låst ändras aldrig: kreditera, eller låt skillnaden komma med nästa månad."
    http = 409


class PeriodNotLocked(BadRequest):
    """{period} is not locked, so there is nothing to hand on yet. Lock it first: `ombud billing lock --period {period}`."""

    code = "period_not_locked"
    sv = "{period} är inte låst, så det finns inget att lämna vidare än. Lås månaden först: `ombud billing lock --period {period}`."
    http = 409


class LaterPeriodLocked(BadRequest):
    """{later} is locked already, so {period} is closed. What is missing of it comes as an adjustment with the next month."""

    code = "later_period_locked"
    sv = "{later} är redan låst, så {period} är avslutad. Det som saknas kommer som en justering med nästa månad."
    http = 409


class EarlierPeriodOpen(BadRequest):
    """{earlier} is to be billed too and is not locked. Months are locked in order: lock {earlier} first."""

    code = "earlier_period_open"
    sv = "{earlier} ska också faktureras och är inte låst. Månader låses i ordning: lås {earlier} först."
    http = 409


class NotPreviewed(BadRequest):
    """{period} has no preview. Make one and look at it first: `ombud billing preview --period {period}`."""

    code = "not_previewed"
    sv = "{period} har ingen förhandsgranskning. Gör en och titta på den först: `ombud billing preview --period {period}`."
    http = 409


class PreviewDiffers(BadRequest):
    """{period} is not what was previewed any more: {differences}. Nothing was locked. Preview it again, look, and lock that."""

    code = "preview_differs"
    sv = "{period} är inte längre det som förhandsgranskades: {differences}. Inget har låsts. Förhandsgranska igen, titta, och lås det."
    http = 409


class PreviewHasFaults(BadRequest):
    """{period} has {count} faults that must be mended before it is locked, or locked all the same with a reason: {faults}"""

    code = "preview_has_faults"
    sv = "{period} har {count} fel som måste rättas innan månaden låses, eller låsas ändå med ett skäl: {faults}"
    http = 409


class CreditTooLarge(BadRequest):
    """{asked} cannot be credited on line {line} of {number}: {left} is left of it."""

    code = "credit_too_large"
    sv = "{asked} går inte att kreditera på rad {line} i {number}: {left} är kvar av den."
    http = 409


class NothingToCredit(BadRequest):
    """All of {number} is credited already, or it is a credit itself."""

    code = "nothing_to_credit"
    sv = "Hela {number} är redan krediterad, eller så är den själv en kredit."
    http = 409


# --- BadRequest: exports ---


class InvoicesIncomplete(BadRequest):
    """{count} of the invoices of {period} cannot be exported as {format}, and nothing was written. {en}"""

    code = "invoices_incomplete"
    sv = "{count} av fakturorna för {period} går inte att exportera som {format}, och inget har skrivits. {sv}"
    http = 409


class ExportOverlaps(BadRequest):
    """Someone else is exporting {period} as {format} at this moment. Wait for that run, and export again what it did not take."""

    code = "export_overlaps"
    sv = "Någon annan exporterar {period} som {format} just nu. Vänta på den körningen, och exportera sedan det som den inte tog."
    http = 409


class ExportDiffers(BadRequest):
    """Run {run} would not come out as it did then ({file}): the accounts or the program have changed since. Keep the files of then, or export {period} with --anew."""

    code = "export_differs"
    sv = "Körning {run} skulle inte bli som den blev då ({file}): kontona eller programmet har ändrats. Behåll filerna från då, eller exportera {period} med --anew."
    http = 409


class ExportFileTaken(BadRequest):
    """{file} is there already with another content, and was left alone. Export into an empty directory."""

    code = "export_file_taken"
    sv = "{file} finns redan med ett annat innehåll och har lämnats i fred. Exportera till en tom katalog."
    http = 409


# --- NotFound ---


class NotFound(Refused):
    """There is no {kind} {name}."""

    code = "not_found"
    sv = "{kind} {name} finns inte."
    http = 404

    #: What is not there, in Swedish. (A test looks for a kind that is missing here.)
    kinds: ClassVar[dict[str, str]] = {
        "DNS host": "DNS-tjänsten", "assignment": "tilldelningen", "brownout": "provstoppet", "case": "ärendet",
        "choice of": "valet för", "claim": "anspråket", "credential": "nyckeln", "customer": "kunden", "domain": "domänen",
        "extension": "förlängningen", "finding": "anmärkningen", "hook": "webhooken", "invoice basis": "fakturaunderlaget",
        "letter": "brevet", "link": "länken", "message": "mejlet", "notice": "meddelandet", "objection": "invändningen",
        "override": "undantaget", "page": "sidan", "person": "personen", "price plan": "prisplanen", "product": "produkten",
        "proof": "beviset", "resource": "resursen", "route": "vägen", "subprocessor": "underbiträdet", "switch": "omslaget",
        "version": "versionen", "webhook": "webhooken",
    }  # fmt: skip

    def _filled(self, pattern: str, language: str) -> str:
        kind = str(self.details.get("kind", "?"))
        if language != "sv":
            return super()._filled(pattern, language)
        text = pattern.format_map(_Details(self.details, kind=self.kinds.get(kind, kind)))
        return text[:1].upper() + text[1:]


class UnknownCampaign(NotFound):
    """There is no campaign {campaign}; there are: {known}."""

    code = "unknown_campaign"
    sv = "Det finns ingen kampanj {campaign}; de som finns är: {known}."


class NoCampaign(NotFound):
    """There is no campaign yet. Write one under [[campaigns]] and run `ombud apply`; docs/campaigns.md shows how."""

    code = "no_campaign"
    sv = "Det finns ingen kampanj än. Skriv en under [[campaigns]] och kör `ombud apply`; docs/campaigns.md visar hur."


class NoPlan(NotFound):
    """There is no price plan {plan} in force on {day}. There are: {known}."""

    code = "no_price_plan"
    sv = "Det finns ingen prisplan {plan} som gäller {day}. De som finns är: {known}."


class NothingToExport(NotFound):
    """Nobody was invoiced for {period}, so there is nothing to export."""

    code = "nothing_to_export"
    sv = "Ingen fakturerades för {period}, så det finns inget att exportera."


# --- TryLater --------------------------------------------------------------------------------------------------------


class TryLater(OmbudError):
    """Not now; nothing was accepted. Send it again later."""

    code = "try_later"
    sv = "Inte just nu; inget togs emot. Skicka igen senare."
    http = 503


class TooFast(TryLater):
    """Too many messages a minute; send again in {seconds} s."""

    code = "too_fast"
    sv = "För många meddelanden per minut; skicka igen om {seconds} s."
    http = 429
    smtp = (450, "4.7.1")


class TooMany(TryLater):
    """Too many connections; try again in a while."""

    code = "too_many_connections"
    sv = "För många förbindelser; försök igen om en stund."
    smtp = (421, "4.7.0")


class TooBusy(TryLater):
    """More mail is on its way in than there is room for; send again in a while."""

    code = "too_busy"
    sv = "Mer e-post är på väg in än det finns plats för; skicka igen om en stund."
    smtp = (452, "4.3.1")


class TooManyFailures(TryLater):
    """Too many wrong keys from this address; try again in {seconds} s."""

    code = "too_many_failures"
    sv = "För många felaktiga nycklar från den här adressen; försök igen om {seconds} s."
    http = 429
    smtp = (421, "4.7.0")


class TooSlow(TryLater):
    """The body of the call did not come in time; nothing was accepted."""

    code = "too_slow"
    sv = "Anropets innehåll kom inte i tid; inget togs emot."
    http = 408
    smtp = (421, "4.4.2")


class TooSoon(TryLater):
    """{domain} was looked at just now; ask again in {seconds} s. We look by ourselves too."""

    code = "too_soon"
    sv = "{domain} kontrollerades nyss; försök igen om {seconds} s. Vi tittar också av oss själva."
    http = 429
    smtp = (450, "4.7.1")


class DiskFull(TryLater):
    """The disk is full; nothing was accepted."""

    code = "disk_full"
    sv = "Disken är full; inget togs emot."
    http = 507
    smtp = (452, "4.3.1")


class ShuttingDown(TryLater):
    """The service is about to stop; nothing was accepted."""

    code = "shutting_down"
    sv = "Tjänsten håller på att stanna; inget togs emot."
    smtp = (421, "4.3.2")


class StillRunning(TryLater):
    """A call with the Idempotency-Key {key} is still running."""

    code = "still_running"
    sv = "Ett anrop med Idempotency-Key {key} pågår fortfarande."
    http = 409


# --- DatabaseGone ---


class DatabaseGone(TryLater):
    """The database does not answer; nothing is known to have been accepted."""

    code = "database_gone"
    sv = "Databasen svarar inte; inget är känt som mottaget."
    smtp = (451, "4.3.0")


class DatabaseNotOpened(DatabaseGone):
    """The database {database} cannot be opened: {reason}. See `service.database`: is the server up, or the file whole, and may this user write it?"""

    code = "database_not_opened"
    sv = "Databasen {database} går inte att öppna: {reason}. Se `service.database`: är servern igång, eller filen hel, och får den här användaren skriva i den?"


# --- Misconfigured ---------------------------------------------------------------------------------------------------


class Misconfigured(OmbudError):
    """The installation cannot run like this: {reason}."""

    code = "misconfigured"
    sv = "Installationen kan inte köras så här: {reason}."
    retryable = False


class NoInstallation(Misconfigured):
    """There is no installation in {directory}. Name one with --dir or OMBUD_DIR, or make one with `ombud apply`."""

    code = "no_installation"
    sv = "Det finns ingen installation i {directory}. Ange en med --dir eller OMBUD_DIR, eller skapa en med `ombud apply`."


class UnsafeDatabase(Misconfigured):
    """The database would lose accepted mail in a power cut: {reason}."""

    code = "unsafe_database"
    sv = "Databasen skulle förlora mottagen e-post vid ett strömavbrott: {reason}."


class EditNeedsYes(Misconfigured):
    """{dangers}. Nothing was changed. Look at it with --dry-run; if that is what you want, apply it with --yes."""

    code = "edit_needs_yes"
    sv = "{dangers}. Inget har ändrats. Titta på det med --dry-run; om det är så det ska vara, kör med --yes."


class SellerMissing(Misconfigured):
    """The vendor's own data for invoices is missing: {missing}. Write it under [vendor.invoice] in ombud.toml and run `ombud apply`."""

    code = "seller_missing"
    sv = "Leverantörens egna uppgifter för fakturor saknas: {missing}. Skriv dem under [vendor.invoice] i ombud.toml och kör `ombud apply`."


class PdfNotInstalled(Misconfigured):
    """PDF needs the extra `pdf`, which is not installed. Install it with `pip install 'ombud[pdf]'`, or choose another format."""

    code = "pdf_not_installed"
    sv = "PDF kräver tillägget `pdf`, som inte är installerat. Installera det med `pip install 'ombud[pdf]'`, eller välj ett annat format."


class NoProbeMailbox(Misconfigured):
    """There is no mailbox to send probe messages to. Name it in the setting `proof.mailbox`."""

    code = "no_probe_mailbox"
    sv = "Det finns ingen brevlåda att skicka provmejl till. Ange den i inställningen `proof.mailbox`."


class NoVendorZone(Misconfigured):
    """This needs a zone of your own that customers' domains point into. Name it in the setting `dns.vendor_zone`."""

    code = "no_vendor_zone"
    sv = "Detta kräver en egen zon som kundernas domäner pekar in i. Ange den i inställningen `dns.vendor_zone`."


class ZoneNotTaken(Misconfigured):
    """The server of {zone} did not take the records: {reason}. Check `dns.update_server` and the TSIG key."""

    code = "zone_not_taken"
    sv = "Servern för {zone} tog inte emot posterna: {reason}. Kontrollera `dns.update_server` och TSIG-nyckeln."


# --- ExportUnsound ---------------------------------------------------------------------------------------------------


class ExportUnsound(OmbudError):
    """The finished file {file} does not hold what it should, and nothing was written: {reason}. This is a fault in Ombud; report it."""

    code = "export_unsound"
    sv = "Den färdiga filen {file} stämmer inte, och inget har skrivits: {reason}. Det är ett fel i Ombud; anmäl det."


def every_error() -> list[type[OmbudError]]:
    """Every error class, parents before children; what `docs/errors.md` and the API's document are made of."""

    def walk(error: type[OmbudError]) -> list[type[OmbudError]]:
        return [error, *(found for child in error.__subclasses__() for found in walk(child))]

    return walk(OmbudError)
