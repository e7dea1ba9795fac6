from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ombud.errors import Misconfigured
from ombud.smtp.certificate import context, make_certificate


def test_a_self_made_certificate_can_be_served_and_trusted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "mx.ombud.example")
    assert context(certificate, key).minimum_version == ssl.TLSVersion.TLSv1_2
    assert ssl.create_default_context(cafile=str(certificate)).cert_store_stats()["x509_ca"] == 1


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    _, key = make_certificate(tmp_path, "mx.ombud.example")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_is_there_is_used_again(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "mx.ombud.example")
    before = certificate.read_bytes(), key.read_bytes()
    assert make_certificate(tmp_path, "mx.ombud.example") == (certificate, key)
    assert (certificate.read_bytes(), key.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smtp-cert.pem", "smtp-key.pem"]


def test_a_key_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, _ = make_certificate(tmp_path, "mx.ombud.example")
    _, other = make_certificate(tmp_path / "other", "mx.ombud.example")
    with pytest.raises(Misconfigured):
        context(certificate, other)
    with pytest.raises(Misconfigured):
        context(tmp_path / "none.pem", other)
