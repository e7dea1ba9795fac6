"""The mail that the benchmark sends: for each of a hundred sender domains one template of each size."""

from __future__ import annotations

import quopri
import random
from pathlib import Path

DOMAINS = [f"d{n:02d}.example" for n in range(100)]
SIZES = {"10k": 10 * 1024, "50k": 50 * 1024}
#: The generator puts the message's number and its recipient's domain in these places.
NUMBER, TO = "RRRRRRRRRR", "uRRRRRRRRRR@rDD.example"

_WORDS = [
    "hyra", "avi", "lägenhet", "hyresgäst", "förvaltare", "betala", "senast", "bankgiro", "belopp", "månad",
    "kvartal", "värme", "vatten", "tvättstuga", "trapphus", "besök", "underhåll", "fläkt", "fönster", "dörr", "lås",
    "nyckel", "anmälan", "ärende", "svar", "fråga", "tack", "vänligen", "kontakta", "oss", "telefon", "öppet",
    "måndag", "fredag", "parkering", "förråd", "balkong", "element", "temperatur", "energi", "förbrukning",
    "avläsning", "period", "avtal", "uppsägning", "inflyttning",
]  # fmt: skip


def write_mails(folder: Path) -> None:
    """Write `folder/SIZE/NN.eml`: CRLF, dot-stuffed, the same bytes at every call."""
    for name, size in SIZES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n, domain in enumerate(DOMAINS):
            (folder / name / f"{n:02d}.eml").write_bytes(_stuffed(_mail(domain, size, random.Random(size + n))))


def _mail(domain: str, size: int, dice: random.Random) -> bytes:
    """A rent notice as text and as HTML, both quoted-printable, filled up to `size` bytes."""
    boundary = f"=_{dice.getrandbits(128):032x}"
    header = (
        f"From: =?utf-8?q?Bostads_AB_Bj=C3=B6rken?= <orders@{domain}>\r\n"
        f"To: <{TO}>\r\n"
        f"Subject: =?utf-8?q?Hyresavi_f=C3=B6r_maj?= {NUMBER}\r\n"
        f"Message-ID: <{NUMBER}.{dice.getrandbits(48):012x}@{domain}>\r\n"
        "Date: Tue, 07 May 2024 10:00:00 +0200\r\n"
        f"List-Unsubscribe: <https://{domain}/av/{NUMBER}>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    )
    text = _part(boundary, "plain", "\n".join(_lines(size // 4, dice)))
    html = _part(boundary, "html", "\n".join(f"<p class='rad'>{line}</p>" for line in _lines(size, dice)))
    end = f"\r\n--{boundary}--\r\n"
    room = size - len(header) - len(text) - len(end)
    return (header + text + html[: html.rfind("\r\n", 0, room)] + end).encode("ascii")


def _part(boundary: str, kind: str, text: str) -> str:
    coded = quopri.encodestring(text.encode()).decode("ascii").replace("\n", "\r\n")
    return f"--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{coded}\r\n"


def _lines(size: int, dice: random.Random) -> list[str]:
    return [" ".join(dice.choice(_WORDS) for _ in range(10)) for _ in range(size // 80)]


def _stuffed(mail: bytes) -> bytes:
    return mail.replace(b"\r\n.", b"\r\n..")
