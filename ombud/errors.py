"""The tree of Ombud's errors. Each says whose move it is, and speaks SMTP, HTTP and both languages.

OmbudError
├── Refused            the sender must change something; the same again gets the same answer
│   ├── NotAuthenticated   who is asking?        BadCredentials, TlsRequired
│   ├── NotAllowed         known, but may not     DomainNotYours, CustomerUnclear, CustomerSuspended, NoRoute ...
│   ├── BadMessage         the bytes are wrong    BareLineBreak, NulByte, LineTooLong, HeaderMalformed, FromNotSingle ...
│   ├── BadRequest         the call is wrong      BadAddress, BadField, IdempotencyMismatch ...
│   └── NotFound           nothing by that name here (or not for you: the two are never told apart)
├── TryLater           we, or the next hop, will be able to: nothing was accepted, send it again
│   ├── TooFast · TooMany · TooBusy · TooManyFailures · TooSlow · DiskFull · DatabaseGone · ShuttingDown · StillRunning
└── Misconfigured      the operator must change something; raised at start or by a command, never at a sender

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
        return pattern.format_map(_Details(self.details))


class _Details(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


# --- Refused -------------------------------------------------------------------------------------------------------


class Refused(OmbudError):
    """The message was refused."""

    code = "refused"
    sv = "E-postmeddelandet avvisades."
    http = 400
    smtp = (550, "5.7.1")
    retryable = False


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


class NotAllowed(Refused):
    """This credential may not do that."""

    code = "not_allowed"
    sv = "Nyckeln får inte göra detta."
    http = 403


class DomainNotYours(NotAllowed):
    """The sender domain {domain} is not proved for this customer. Prove it first, or send from a domain that is."""

    code = "domain_not_proved"
    sv = "Avsändardomänen {domain} är inte styrkt för den här kunden. Styrk den först, eller skicka från en domän som är det."


class DomainTaken(NotAllowed):
    """The domain {domain} is already proved by someone else; contact the operator if that is wrong."""

    code = "domain_taken"
    sv = "Domänen {domain} är redan styrkt av någon annan; kontakta driften om det är fel."
    http = 409


class CustomerUnclear(NotAllowed):
    """The credential serves many customers: name one with X-Ombud-Customer, or send from a customer's proved domain."""

    code = "customer_unclear"
    sv = "Nyckeln gäller flera kunder: ange en med X-Ombud-Customer, eller skicka från en kunds styrkta domän."


class CustomerSuspended(NotAllowed):
    """The customer {customer} is suspended; its mail is not accepted."""

    code = "customer_suspended"
    sv = "Kunden {customer} är avstängd; dess e-post tas inte emot."


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


class BadRequest(Refused):
    """The call is wrong: {reason}."""

    code = "bad_request"
    sv = "Anropet är fel: {reason}."
    http = 422
    smtp = (501, "5.5.4")


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


class IdempotencyMismatch(BadRequest):
    """The Idempotency-Key {key} has been used with another body."""

    code = "idempotency_mismatch"
    sv = "Idempotency-Key {key} har redan använts med ett annat innehåll."


class WrongState(BadRequest):
    """That is not possible any more: the state is {state}."""

    code = "wrong_state"
    sv = "Det går inte längre: tillståndet är {state}."
    http = 409


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


class NotFound(Refused):
    """There is no {kind} {name}."""

    code = "not_found"
    sv = "Det finns ingen {kind} {name}."
    http = 404


# --- TryLater ------------------------------------------------------------------------------------------------------


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


class DiskFull(TryLater):
    """The disk is full; nothing was accepted."""

    code = "disk_full"
    sv = "Disken är full; inget togs emot."
    http = 507
    smtp = (452, "4.3.1")


class DatabaseGone(TryLater):
    """The database does not answer; nothing is known to have been accepted."""

    code = "database_gone"
    sv = "Databasen svarar inte; inget är känt som mottaget."
    smtp = (451, "4.3.0")


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


# --- Misconfigured -------------------------------------------------------------------------------------------------


class Misconfigured(OmbudError):
    """The installation cannot run like this: {reason}."""

    code = "misconfigured"
    sv = "Installationen kan inte köras så här: {reason}."
    retryable = False


class UnsafeDatabase(Misconfigured):
    """The database would lose accepted mail in a power cut: {reason}."""

    code = "unsafe_database"
    sv = "Databasen skulle förlora mottagen e-post vid ett strömavbrott: {reason}."


class NoInstallation(Misconfigured):
    """There is no installation in {directory}. Name one with --dir or OMBUD_DIR, or make one with `ombud apply`."""

    code = "no_installation"
    sv = "Det finns ingen installation i {directory}. Ange en med --dir eller OMBUD_DIR, eller skapa en med `ombud apply`."


def every_error() -> list[type[OmbudError]]:
    """Every error class, parents before children; what `docs/errors.md` and the API's document are made of."""

    def walk(error: type[OmbudError]) -> list[type[OmbudError]]:
        return [error, *(found for child in error.__subclasses__() for found in walk(child))]

    return walk(OmbudError)
