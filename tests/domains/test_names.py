"""What people type as a domain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombud.domains.names import is_free_mail, sender_domain, typed_domain
from ombud.errors import FreeMail, NotADomain, PublicSuffix


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("Kund.SE", "kund.se"), ("kund.se.", "kund.se"), ("  kund.se ", "kund.se"), ("räksmörgås.se", "xn--rksmrgs-5wao1o.se"),
        ("RÄKSMÖRGÅS.SE.", "xn--rksmrgs-5wao1o.se"), ("hyra.kund.example", "hyra.kund.example"),
    ],
)  # fmt: skip
def test_case_final_dots_and_swedish_letters_are_taken(typed: str, domain: str) -> None:
    assert sender_domain(typed) == domain


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("https://www.kund.se/om-oss?x=1", "kund.se"), ("http://kund.se", "kund.se"), ("kund.se/", "kund.se"),
        ("www.kund.se:8080", "kund.se"), ("https://anna:hemligt@kund.se/", "kund.se"), ("info@kund.se", "kund.se"),
        ("Anna <anna@kund.se>", "kund.se"), ("mailto:anna@kund.se", "kund.se"), ("*.kund.se", "kund.se"), ("kund", "example.se"),
        ("", "example.se"), ("192.0.2.1", "example.se"), ("a" * 64 + ".se", "example.se"), (".".join(["a"] * 64) + ".se", "example.se"),
        ("<script>alert(1)</script>.se", "example.se"), ("kund\x1b[31m.se", "example.se"), ("kund..se", "example.se"), ("[::1]", "example.se"),
    ],
)  # fmt: skip
def test_what_is_no_domain_is_told_what_to_type_instead(typed: str, instead: str) -> None:
    with pytest.raises(NotADomain) as caught:
        typed_domain(typed)
    assert caught.value.details["instead"] == instead
    for language in ("sv", "en"):
        assert instead in caught.value.text(language)
        assert "\x1b" not in caught.value.text(language)


@pytest.mark.parametrize("typed", ["co.uk", "pp.se", "azurewebsites.net", "GitHub.io."])
def test_a_public_suffix_is_nobodys(typed: str) -> None:
    with pytest.raises(PublicSuffix):
        sender_domain(typed)


@pytest.mark.parametrize("typed", ["gmail.com", "Hotmail.SE", "telia.com", "kund.gmail.com"])
def test_a_free_mail_domain_is_refused_with_the_reason(typed: str) -> None:
    with pytest.raises(FreeMail) as caught:
        sender_domain(typed)
    assert "gratisadress" in caught.value.text("sv")


def test_a_name_that_only_ends_like_free_mail_is_not_it() -> None:
    assert not is_free_mail("notgmail.com") and not is_free_mail("gmail.com.kund.se")


@given(st.text(max_size=300))
def test_whatever_is_typed_is_a_domain_or_refused(text: str) -> None:
    try:
        domain = typed_domain(text)
    except NotADomain:
        return
    assert domain == typed_domain(domain) and "." in domain and domain.isascii()
