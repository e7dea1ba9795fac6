"""The whole world on loopback: smart hosts that pass on, receivers that judge and store, and the counts of it all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest

from ombud.sandbox.count import count, read
from ombud.sandbox.nameserver import resolver
from ombud.sandbox.relay import Relay
from ombud.sandbox.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, greylist={"mx.bredbandet.example"})
    await world.start()
    yield world
    await world.stop()


def message(domain: str, number: int = 1, body: str = "Hej") -> bytes:
    fields = (
        f"From: Hyra <hyra@{domain}>\r\nTo: a@storpost.example\r\nSubject: avi\r\nMessage-ID: <{number}@{domain}>\r\n"
    )
    return f"{fields}\r\n{body}\r\n".encode()


async def login(world: World, name: str) -> aiosmtplib.SMTP:
    relay = next(relay for relay in world.relays if relay.name == name)
    client = await connect(world, relay)
    await client.starttls(tls_context=ssl.create_default_context(cafile=str(world.ca_file)), server_hostname=relay.host)
    if relay.user:
        await client.login(relay.user, relay.password)
    return client


async def connect(world: World, relay: Relay) -> aiosmtplib.SMTP:
    port = json.loads(json.dumps(world.addresses()))["servers"][relay.name]["port"]
    client = aiosmtplib.SMTP(hostname=relay.address, port=port, start_tls=False, timeout=10)
    await client.connect()
    return client


async def send(world: World, name: str, domain: str, *recipients: str, number: int = 1) -> tuple[int, str] | None:
    """Send one mail through a smart host; None when it was taken, else the reply that refused it."""
    client = await login(world, name)
    try:
        await client.sendmail(f"hyra@{domain}", list(recipients), message(domain, number))
    except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPRecipientsRefused) as refusal:
        first = refusal.recipients[0] if isinstance(refusal, aiosmtplib.SMTPRecipientsRefused) else refusal
        return first.code, first.message
    finally:
        client.close()
    return None


async def test_mail_comes_from_the_smart_hosts_own_address_and_is_judged_by_it(world: World) -> None:
    assert await send(world, "underleverantör", "bjallerbo.example", "a@storpost.example") is None
    (copy,) = read(world.mail)
    assert (copy.client, copy.relay, copy.spf, copy.dkim, copy.dmarc) == (
        "127.0.20.1",
        "underleverantör",
        "pass",
        "none",
        "pass",
    )


async def test_the_customers_own_server_signs_for_its_domain(world: World) -> None:
    assert await send(world, "eken", "eken.example", "a@storpost.example") is None
    (copy,) = read(world.mail)
    assert (copy.relay, copy.spf, copy.dkim, copy.dmarc) == ("eken", "pass", "pass", "pass")


async def test_the_large_receiver_refuses_what_nobody_vouches_for_and_the_sender_gets_its_words(world: World) -> None:
    code, words = await send(world, "underleverantör", "norrvik.example", "a@storpost.example") or (0, "")
    assert code == 550
    assert words.startswith(
        "5.7.26 Your email has been blocked because the sender norrvik.example is unauthenticated.\n5.7.26 "
    )
    (copy,) = read(world.mail)
    assert copy.refused
    assert len(list((world.mail / "storpost.example" / ".Refused" / "new").iterdir())) == 1


async def test_the_large_receiver_puts_off_what_it_cannot_look_up(world: World) -> None:
    world.zones.faults["bjallerbo.example"] = "SERVFAIL"
    code, _ = await send(world, "underleverantör", "bjallerbo.example", "a@storpost.example") or (0, "")
    assert code == 451
    world.zones.faults.clear()
    assert await send(world, "underleverantör", "bjallerbo.example", "a@storpost.example") is None
    assert [copy.refused for copy in read(world.mail)] == [False]


async def test_another_receiver_takes_the_same_mail(world: World) -> None:
    assert await send(world, "underleverantör", "norrvik.example", "a@hemmanet.example") is None
    (copy,) = read(world.mail)
    assert (copy.refused, copy.spf, copy.dmarc) == (False, "none", "none")


async def test_each_recipient_has_a_copy_with_the_envelope_and_the_results_on_top(world: World) -> None:
    client = await login(world, "egen-server")
    recipients = ["a@hemmanet.example", "Å.B@EPOSTIS.example"]
    await client.sendmail(
        "hyra@molntjanst.example", recipients, message("molntjanst.example"), mail_options=["SMTPUTF8"]
    )
    client.close()
    (stored,) = (world.mail / "epostis.example" / "new").iterdir()
    lines = stored.read_bytes().decode().split("\r\n")
    assert lines[:5] == [
        "Return-Path: <hyra@molntjanst.example>",
        "Delivered-To: Å.B@EPOSTIS.example",
        "X-Original-To: Å.B@EPOSTIS.example",
        "X-Sandbox-Client: 127.0.22.1 egen-server",
        "Authentication-Results: mx.hemmanet.example;",
    ]
    assert stored.read_bytes().endswith(message("molntjanst.example"))
    assert len(list((world.mail / "hemmanet.example" / "new").iterdir())) == 1


async def test_results_that_the_sender_forged_in_the_receivers_name_are_taken_away(world: World) -> None:
    client = await login(world, "egen-server")
    forged = b"Authentication-Results: mx.hemmanet.example;\r\n dkim=pass header.d=eken.example\r\n"
    others = b"Authentication-Results: mx.elsewhere.example; dkim=pass\r\n"
    await client.sendmail("a@molntjanst.example", ["b@hemmanet.example"], forged + others + message("eken.example"))
    client.close()
    (stored,) = (world.mail / "hemmanet.example" / "new").iterdir()
    assert b"header.d=eken.example" not in stored.read_bytes()
    assert others in stored.read_bytes()
    assert read(world.mail)[0].dkim == "none"


async def test_a_dkim_key_published_in_the_watched_file_is_seen(world: World, tmp_path: Path) -> None:
    (tmp_path / "dkim.zone").write_text('k._domainkey.lindgarden.example. 5 IN TXT "v=DKIM1; p=abc"\n')
    found = await asyncio.to_thread(lambda: resolver(world.dns).resolve("k._domainkey.lindgarden.example", "TXT"))
    assert found[0].to_text() == '"v=DKIM1; p=abc"'


async def test_a_changed_record_counts_from_the_next_mail_on(world: World) -> None:
    assert await send(world, "egen-server", "solrosen.example", "a@hemmanet.example", number=1) is None
    world.zones.withdraw("solrosen.example", "TXT")
    world.publish("solrosen.example", "TXT", "v=spf1 ip4:127.0.22.1 -all")
    assert await send(world, "egen-server", "solrosen.example", "a@hemmanet.example", number=2) is None
    assert {copy.message_id[1]: copy.spf for copy in read(world.mail) if not copy.refused} == {
        "1": "neutral",
        "2": "pass",
    }


async def test_a_greylisting_receiver_puts_off_the_first_try_of_each_pair(world: World) -> None:
    first = await send(world, "eken", "eken.example", "a@mejlen.example")
    assert first is not None
    assert first[0] == 451
    assert await send(world, "eken", "eken.example", "a@mejlen.example") is None
    assert (await send(world, "eken", "eken.example", "b@mejlen.example") or (0,))[0] == 451


async def test_an_unknown_mailbox_and_an_unknown_domain_are_refused_at_rcpt(world: World) -> None:
    assert (await send(world, "eken", "eken.example", "finns-inte@hemmanet.example") or (0, ""))[1].startswith("5.1.1")
    assert (await send(world, "eken", "eken.example", "a@ingenstans.example") or (0, ""))[1].startswith("5.1.2")


async def test_recipients_of_two_receivers_do_not_go_in_one_transaction(world: World) -> None:
    client = await login(world, "eken")
    refused, _ = await client.sendmail(
        "a@eken.example", ["a@storpost.example", "b@hemmanet.example"], message("eken.example")
    )
    client.close()
    assert {address: reply.code for address, reply in refused.items()} == {"b@hemmanet.example": 452}
    assert [copy.domain for copy in read(world.mail)] == ["storpost.example"]


async def test_a_transaction_that_was_given_up_leaves_nothing_behind_at_the_receiver(world: World) -> None:
    client = await login(world, "eken")
    for step in ("RSET", "EHLO again.example"):
        await client.execute_command(b"MAIL FROM:<old@eken.example>")
        await client.execute_command(b"RCPT TO:<old@hemmanet.example>")
        await client.execute_command(step.encode())
    await client.sendmail("new@eken.example", ["new@hemmanet.example"], message("eken.example"))
    client.close()
    assert [copy.recipient for copy in read(world.mail)] == ["new@hemmanet.example"]


async def test_the_null_sender_passes(world: World) -> None:
    client = await login(world, "eken")
    await client.sendmail("", ["a@hemmanet.example"], message("eken.example"))
    client.close()
    (stored,) = (world.mail / "hemmanet.example" / "new").iterdir()
    assert stored.read_bytes().startswith(b"Return-Path: <>\r\n")


async def test_a_smart_host_takes_nothing_before_tls_and_login(world: World) -> None:
    relay = world.relays[0]
    client = await connect(world, relay)
    assert (await client.execute_command(b"MAIL FROM:<a@eken.example>")).code in (503, 530)
    await client.ehlo()
    assert not client.supports_extension("auth")
    assert (await client.execute_command(b"MAIL FROM:<a@eken.example>")).code == 530
    await client.starttls(tls_context=ssl.create_default_context(cafile=str(world.ca_file)), server_hostname=relay.host)
    await client.ehlo()
    assert (await client.execute_command(b"MAIL FROM:<a@eken.example>")).code == 530
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await client.login(relay.user, "wrong")
    client.close()


async def test_a_receiver_that_cannot_be_reached_is_a_passing_refusal(world: World) -> None:
    world.publish("nere.example", "MX", "10 mx.nere.example.")
    world.publish("mx.nere.example", "A", "127.0.10.250")
    assert (await send(world, "eken", "eken.example", "a@nere.example") or (0,))[0] == 451


async def test_a_bare_dot_and_a_long_message_come_through_whole(world: World) -> None:
    content = message("eken.example", body=".\r\n..\r\n" + "x" * 900 + "\r\n" * 3)
    client = await login(world, "underleverantör")
    await client.sendmail("a@eken.example", ["a@hemmanet.example"], content)
    client.close()
    (stored,) = (world.mail / "hemmanet.example" / "new").iterdir()
    assert stored.read_bytes().endswith(content)


async def test_the_counts_say_what_is_in_the_mailboxes(world: World) -> None:
    await send(world, "eken", "eken.example", "a@storpost.example", number=1)
    await send(world, "eken", "eken.example", "a@storpost.example", number=1)
    await send(world, "eken", "eken.example", "b@storpost.example", number=1)
    await send(world, "underleverantör", "bjallerbo.example", "a@hemmanet.example", number=2)
    await send(world, "underleverantör", "norrvik.example", "a@storpost.example", number=3)
    found = count(read(world.mail))
    assert (found.delivered, found.refused, found.duplicates) == (4, 1, 1)
    assert (found.spf_pass, found.dkim_pass, found.dmarc_pass) == (4, 3, 4)
    assert found.by_recipient_domain == {"storpost.example": 3, "hemmanet.example": 1}
    assert found.by_from_domain == {"eken.example": 3, "bjallerbo.example": 1}
    assert found.by_relay == {"eken": 3, "underleverantör": 1}
    assert count(copy for copy in read(world.mail) if copy.from_domain == "norrvik.example").refused == 1


def test_of_several_signatures_the_best_counts_and_only_the_topmost_results_are_believed(tmp_path: Path) -> None:
    box = tmp_path / "storpost.example" / "new"
    box.mkdir(parents=True)
    (box / "1").write_text(
        "Delivered-To: å@storpost.example\r\nX-Sandbox-Client: 127.0.9.9 -\r\n"
        "Authentication-Results: mx.storpost.example;\r\n\tspf=fail smtp.mailfrom=eken.example;\r\n"
        "\tdkim=pass header.d=eken.example;\r\n\tdkim=neutral header.d=eken.example;\r\n"
        "\tdmarc=fail (p=none) header.from=eken.example\r\n"
        "Authentication-Results: mx.eken.example; spf=pass; dmarc=pass\r\nMessage-ID:\r\n <1@eken.example>\r\n\r\nHej\r\n"
    )
    (copy,) = read(tmp_path)
    assert (copy.recipient, copy.relay, copy.message_id) == ("å@storpost.example", "-", "<1@eken.example>")
    assert (copy.spf, copy.dkim, copy.dmarc, copy.from_domain) == ("fail", "pass", "fail", "eken.example")


def test_no_mail_means_no_counts(tmp_path: Path) -> None:
    assert read(tmp_path / "mail") == ()


@pytest.mark.parametrize("how", ["sigterm", "stdin"])
async def test_as_a_program_it_says_where_it_is_and_stops_when_told(tmp_path: Path, how: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ombud.sandbox", "--dir", str(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    addresses = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    assert set(addresses["servers"]) == {"underleverantör", "mailgun-eu", "egen-server", "eken"}
    assert ssl.create_default_context(cafile=addresses["ca_file"]).get_ca_certs()
    if how == "sigterm":
        os.kill(process.pid, signal.SIGTERM)
    else:
        process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
