"""Publishing in a zone by dynamic update (RFC 2136), signed with a shared key (TSIG, RFC 8945)."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.name
import dns.rcode
import dns.tsig
import dns.update

from ombud.dns.resolver import host_and_port

SECONDS = 10.0
#: Records in one message: some 450 bytes each, far from the 64 KiB that one can have.
_AT_A_TIME = 50

#: Name, type, value in zone file form (None: nothing shall stand there), TTL in seconds.
Change = tuple[str, str, str | None, int]


@dataclass(frozen=True, slots=True)
class UpdateServer:
    """The primary server of `zone`, at `IP` or `IP:PORT`, and the key that it knows us by. Printing it shows nothing secret."""

    address: str
    zone: str
    key_name: str = ""
    algorithm: str = "hmac-sha256"
    secret: str = field(default="", repr=False)  # base64

    async def publish(self, changes: Sequence[Change]) -> str:
        """Let each name and type hold the one value, or nothing. "" when the server took all of it, else what it said: a reply code
        in lower case, `timeout`, `malformed`, `bad_key`, or `not_signed` (it knows neither the key nor the zone). What came before a refused part may have been taken: send all again."""
        for start in range(0, len(changes), _AT_A_TIME):
            if why := await self._send(changes[start : start + _AT_A_TIME]):
                return why
        return ""

    async def _send(self, changes: Sequence[Change]) -> str:
        try:
            message = dns.update.UpdateMessage(self.zone)
            if self.key_name:
                name = dns.name.from_text(self.key_name)
                message.use_tsig(dns.tsig.Key(name, self.secret, self.algorithm), algorithm=self.algorithm)
            for owner, kind, value, ttl in changes:
                # RFC 2136 2.5.2: whatever stood there goes; in the same message what shall stand there comes.
                name = dns.name.from_text(owner)
                message.delete(name, kind)
                if value is not None:
                    message.add(name, ttl, kind, value)
            host, port = host_and_port(self.address, 53)
            response = await dns.asyncquery.tcp(message, host, port=port, timeout=SECONDS)
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime, binascii.Error):
            return "bad_key"
        except dns.exception.Timeout:
            return "timeout"
        except OSError:
            return "timeout"
        except dns.exception.FormError as error:
            return "not_signed" if "requires a TSIG" in str(error) else "malformed"
        except (dns.exception.DNSException, EOFError, ValueError, KeyError):  # KeyError: an algorithm that nobody knows
            return "malformed"
        rcode = response.rcode()
        return "" if rcode == dns.rcode.NOERROR else dns.rcode.to_text(rcode).lower()
