"""People, links, notices, webhooks and letters from the command line."""

from __future__ import annotations

from tests.cli.conftest import Ombud

DAY = ("--at", "2024-05-07T10:00")


def test_people_are_listed_added_and_removed(ombud: Ombud) -> None:
    assert len(ombud("people", "list").json) == 12
    added = ombud(
        "people",
        "add",
        "--customer",
        "eken",
        "--name",
        "Bo Ek",
        "--email",
        "Bo@Eken.example",
        "--role",
        "finance",
        "--phone",
        "08-1",
    ).json
    assert (added["email"], added["role"], added["may_choose"]) == ("Bo@eken.example", "finance", False)
    assert [one["name"] for one in ombud("people", "list", "--customer", "eken", "--role", "finance").json] == ["Bo Ek"]
    assert ombud("people", "list", "--bounced").json == []
    ombud("people", "remove", str(added["id"]), "--yes")
    assert "person" in ombud("people", "remove", str(added["id"]), "--yes", code=1).err
    ombud("people", "add", "--name", "Ola", "--email", "ola@molntjanst.example", "--may-choose", code=2)
    assert "bad_address" in ombud("people", "add", "--name", "Ola", "--email", "nobody", code=1).err


def test_links_are_made_listed_renewed_and_revoked(ombud: Ombud) -> None:
    made = ombud(*DAY, "links", "make", "--customer", "eken").json
    assert "/c/" in made["url"] and made["person"] == "asa.lindqvist@eken.example"
    (listed,) = ombud(*DAY, "links", "list", "--customer", "eken").json
    assert (listed["state"], listed["about"], "url" in listed) == ("open", "molntjanst-2024", False)
    ombud(*DAY, "links", "renew", str(made["id"]), "--days", "90")
    ombud(*DAY, "links", "revoke", str(made["id"]))
    assert ombud(*DAY, "links", "list").json[0]["state"] == "revoked"
    assert "link_revoked" in ombud(*DAY, "links", "renew", str(made["id"]), code=1).err
    assert "not_found" in ombud("links", "make", "--customer", "nobody", code=1).err
    assert "not_found" in ombud("links", "make", "--customer", "eken", "--person", "x@y.example", code=1).err


def test_a_webhook_is_tested_and_what_fails_can_be_retried_or_dropped(ombud: Ombud) -> None:
    added = ombud("webhooks", "add", "centre", "https://centre.example/hook").json
    assert added["secret"].startswith("whsec_")
    assert ombud("webhooks", "add", "centre", "https://centre.example/new").json["secret"] is None
    assert "secret" not in ombud("webhooks", "list").json[0]
    assert "bad_field" in ombud("webhooks", "add", "other", "gopher://x", code=1).err
    notice = ombud("webhooks", "test", "centre").json["notice"]
    (listed,) = ombud("notices", "list", "--target", "centre").json
    assert (listed["notice"], listed["state"], listed["tries"]) == (notice, "waiting", 0)
    assert ombud("notices", "show", notice).json["payload"] == {"type": "test"}
    assert ombud("notices", "retry", notice).json == {"retried": 1}
    assert ombud("notices", "drop", notice, "--yes").json == {"dropped": 1}
    assert ombud("notices", "retry", notice).json == {"retried": 0}
    ombud("notices", "retry", code=2)
    ombud("webhooks", "remove", "centre", "--yes")
    assert "not_found" in ombud("webhooks", "remove", "centre", "--yes", code=1).err


def test_a_campaigns_letters_are_looked_at_sent_once_and_listed(ombud: Ombud) -> None:
    seen = ombud(*DAY, "campaigns", "letters", "preview", "--excluded").json
    assert len(seen["letters"]) == 12 and len(seen["samples"]) == 3
    assert {one["letter"] for one in seen["letters"]} == {"invitation", "done"}
    assert all("/c/EXAMPLE" in one["text"] for one in seen["samples"])
    assert ombud("campaigns", "letters", "list").json == []  # nothing was sent
    ombud("--at", "2024-05-07T20:00", "campaigns", "letters", "send", "--yes", code=2)
    assert ombud(*DAY, "campaigns", "letters", "send", "--yes").json["letters"] == 12
    again = ombud(*DAY, "campaigns", "letters", "send", "--yes").json
    assert again["letters"] == 0 and sum(again["excluded"].values()) == 12
    listed = ombud("campaigns", "letters", "list", "--customer", "bjallerbo").json
    assert [(one["letter"], one["stage"]) for one in listed] == [("invitation", "not_reached")]
    calls = ombud("--at", "2024-05-17T10:00", "campaigns", "letters", "phone-list", code=3).json
    assert {one["why"] for one in calls} == {"never_opened"} and len(calls) == 7
    assert ombud(*DAY, "campaigns", "letters", "automatic", "on").json["automatic"] is True
