"""Every reply that the submission dialogue gives of itself, by name (RFC 5321 4.2.3, RFC 3463, RFC 4954 6)."""

from __future__ import annotations

from ombud.errors import OmbudError
from ombud.mail.reply import Reply

OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
CANNOT_VERIFY = Reply(252, "2.1.5", "Not verified here; send the message and see")
HELP = Reply(214, "2.0.0", "EHLO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT, see RFC 6409")
BYE = Reply(221, "2.0.0", "Bye")
START_TLS = Reply(220, "2.0.0", "Start TLS now")
AUTHENTICATED = Reply(235, "2.7.0", "Authenticated")
# RFC 2034 4: only replies of 2yz, 4yz and 5yz carry an enhanced code.
GIVE_DATA = Reply(354, "", "Send the message, then a line with only a dot")
GIVE_RESPONSE = Reply(334, "", "")
GIVE_USER = Reply(334, "", "VXNlcm5hbWU6")  # base64 of "Username:"
GIVE_PASSWORD = Reply(334, "", "UGFzc3dvcmQ6")  # base64 of "Password:"

UNKNOWN_COMMAND = Reply(500, "5.5.1", "Command unknown")
NOT_OFFERED = Reply(502, "5.5.1", "Command not offered here")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
BAD_LINE = Reply(500, "5.5.2", "Control characters are not allowed in a command")
BARE_LF_IN_COMMAND = Reply(521, "5.5.2", "Bare LF: end every line with CRLF; closing")
NOT_SMTP = Reply(521, "5.5.1", "That is not an SMTP command; closing")
NO_ARGUMENT = Reply(501, "5.5.4", "This command takes no argument")
BAD_EHLO = Reply(501, "5.5.4", "Give your host name: EHLO host.example")
BAD_MAIL = Reply(501, "5.5.4", "Write MAIL FROM:<address>")
BAD_RCPT = Reply(501, "5.5.4", "Write RCPT TO:<address>")
BAD_PARAMETER = Reply(501, "5.5.4", "A parameter's value is wrong or it is given twice")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not offered here")
UTF8_NEEDED = Reply(553, "5.6.7", "A non-ASCII address needs the parameter SMTPUTF8 at MAIL")

EHLO_FIRST = Reply(503, "5.5.1", "Say EHLO first")
MAIL_FIRST = Reply(503, "5.5.1", "Say MAIL first")
ALREADY_MAIL = Reply(503, "5.5.1", "A message has already been begun; finish it or say RSET")
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
ALREADY_TLS = Reply(503, "5.5.1", "TLS is already on")
ALREADY_AUTHENTICATED = Reply(503, "5.5.1", "Already authenticated")
NOT_DURING_MAIL = Reply(503, "5.5.1", "Not while a message is being given")
TLS_FIRST = Reply(530, "5.7.0", "Start TLS first; neither keys nor mail are taken in the open [tls_required]")
AUTH_FIRST = Reply(530, "5.7.0", "Authenticate first [not_authenticated]")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Mechanism not offered; use PLAIN or LOGIN")
BAD_RESPONSE = Reply(501, "5.5.2", "The response is not what the mechanism asks for, in base64")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")

TOO_BIG = Reply(552, "5.3.4", "The message is too big [message_too_big]")
TOO_MANY_RECIPIENTS = Reply(
    452, "4.5.3", "Too many recipients; send to the rest in a message of its own [too_many_recipients]"
)
TOO_BUSY = Reply(452, "4.3.1", "No room for more mail on its way in; send again in a while [too_busy]")
BARE_LINE_BREAK = Reply(550, "5.6.11", "Bare CR or LF in the message: end every line with CRLF [bare_line_break]")
NUL_BYTE = Reply(550, "5.6.11", "NUL byte in the message [nul_byte]")

TOO_MUCH = Reply(421, "4.7.0", "Far more than the announced size; closing")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors; closing")
TOO_MANY_AUTH_FAILURES = Reply(421, "4.7.0", "Too many failed authentications; closing")
TOO_MANY_CONNECTIONS = Reply(421, "4.7.0", "Too many connections; try again in a while [too_many_connections]")
TOO_SLOW = Reply(421, "4.4.2", "Waited too long; closing")
SHUTTING_DOWN = Reply(421, "4.3.2", "The service is stopping; nothing more is taken [shutting_down]")
FAULT = Reply(451, "4.3.0", "A fault on our side; nothing was taken, send again later [internal_error]")
AUTH_FAULT = Reply(454, "4.7.0", "A fault on our side; authenticate again later [internal_error]")

_LONGEST = 400  # RFC 5321 4.5.3.1.5: 512 for the whole line


def reply_to(error: OmbudError) -> Reply:
    """The error as a reply: its code, its English words on one line of plain ASCII, and its stable name in brackets."""
    return Reply(*error.smtp, words_of(error))


def words_of(error: OmbudError) -> str:
    # The words may quote the client; RFC 6531 3.7.4 allows more than ASCII in replies only to those who asked for it.
    text = "".join(char if " " <= char <= "~" else "?" for char in error.text())
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return f"{text} [{error.code}]"
