"""Writes the rent notice's PDF by hand: one page, one built-in font, the same bytes for the same row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_A4 = "0 0 595 842"
_LEFT, _COLUMN, _TOP = 64, 200, 770


def rent_notice_pdf(row: Mapping[str, str]) -> bytes:
    """The notice for one row of `hyresavier.csv`, as a PDF 1.4 of some 2 kB. Signs outside Windows-1252 become `?`."""
    return _document(_page(row))


def _page(row: Mapping[str, str]) -> bytes:
    facts = (
        ("Hyresgäst", row["name"]),
        ("Lägenhet", row["lagenhet"]),
        ("OCR-nummer", row["ocr"]),
        ("Förfallodag", row["forfallodag"]),
        ("Att betala", f"{row['belopp']} kr"),
    )
    marks = [_text(_LEFT, _TOP, 22, "Hyresavi")]
    for number, (label, value) in enumerate(facts):
        height = _TOP - 50 - 24 * number
        marks += [_text(_LEFT, height, 11, label), _text(_COLUMN, height, 11, value)]
    foot = _TOP - 60 - 24 * len(facts)
    marks.append(f"{_LEFT} {foot} m 531 {foot} l S".encode())
    marks.append(
        _text(
            _LEFT, foot - 26, 10, "Ange alltid OCR-numret när du betalar. Har du autogiro dras hyran på förfallodagen."
        )
    )
    marks.append(
        _text(_LEFT, foot - 42, 10, "Betalar du för sent tillkommer ränta enligt räntelagen och en påminnelseavgift.")
    )
    return b"\n".join(marks)


def _text(left: int, height: int, size: int, words: str) -> bytes:
    return b"BT /F1 %d Tf %d %d Td %s Tj ET" % (size, left, height, _string(words))


def _string(words: str) -> bytes:
    """A literal string in WinAnsiEncoding, which is Windows-1252 (ISO 32000-1 7.3.4.2 and D.2)."""
    plain = words.encode("cp1252", "replace")
    for special in (b"\\", b"(", b")"):
        plain = plain.replace(special, b"\\" + special)
    return b"(" + b"".join(bytes((byte,)) if byte < 128 else b"\\%03o" % byte for byte in plain) + b")"


def _document(content: bytes) -> bytes:
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R /Lang (sv-SE) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
        % _A4.encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    return _with_table(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", objects)


def _with_table(head: bytes, objects: Sequence[bytes]) -> bytes:
    """The file: the objects, where each of them begins, and where that table begins (ISO 32000-1 7.5.4)."""
    file, starts = head, []
    for number, body in enumerate(objects, 1):
        starts.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    size = len(objects) + 1
    return file + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (size, table, size, len(file))
    )
