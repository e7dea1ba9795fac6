"""The pages and the document: readable without scripts, from our own files only, and true."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from ombud.domains.shares import share
from ombud.web import openapi
from ombud.web.pages import said
from tests.web.conftest import House


@pytest.fixture
def database_url(one_url: str) -> str:
    return one_url


PAGES = ("/", "/v1/docs")
EVERYWHERE = {
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}  # fmt: skip


class _Page(HTMLParser):
    """What a page refers to, which ids it has, and which elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(found)
        self.links += [value for name in ("href", "src", "action") if (value := found.get(name))]
        if value := found.get("id"):
            self.ids.append(value)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_pages_need_no_scripts_and_ask_nothing_of_anyone_else(house: House) -> None:
    for path in PAGES:
        answer = await house.call("", "GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        page = _Page(answer.text)
        assert page.open == [], "every element is closed"
        assert not {"script", "style", "iframe", "img"} & set(page.tags)
        assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
        assert all(link.startswith(("/", "#")) for link in page.links)
        assert len(page.ids) == len(set(page.ids))
        assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
        for link in {link for link in page.links if link.startswith("/")}:
            assert (await house.call("", "GET", link)).status_code == 200, link


async def test_every_answer_keeps_browsers_careful(house: House) -> None:
    for path in (*PAGES, "/v1/openapi.json", "/style.css", "/healthz", "/readyz", "/metrics", "/v1/messages", "/nej"):
        headers = (await house.call("", "GET", path)).headers
        assert {name: headers.get(name) for name in EVERYWHERE} == EVERYWHERE, path
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert ("style-src 'self'" in policy) == (path in PAGES)
        assert re.fullmatch("[0-9a-z]{26}", headers["x-request-id"])


async def test_the_page_has_every_call_and_every_error(house: House) -> None:
    text = (await house.call("", "GET", "/v1/docs")).text
    document = (await house.call("", "GET", "/v1/openapi.json")).json()
    ids = _Page(text).ids
    for path, operations in document["paths"].items():
        assert path in text
        assert {operation["operationId"] for operation in operations.values()} <= set(ids)
    assert {error.code for error in openapi.error_list()} <= set(ids)


async def test_every_example_works_as_it_stands(house: House) -> None:
    document = (await house.call("", "GET", "/v1/openapi.json")).json()
    with house.web.database.write() as tx:
        token = share(tx, house.web.seal, "eken.example", "anna", house.web.clock.now())
    tried = 0
    for path in ("/v1/messages", "/v1/messages/batch", "/v1/shares/{token}/cannot"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            answer = await house.call("eken", "POST", path.format(token=token), json=example["value"])
            assert answer.status_code == 202, answer.text
            assert answer.json().get("refused", 0) == 0
            tried += 1
    assert tried == len(openapi.EXAMPLES)


async def test_the_page_shows_a_key_only_where_one_is_needed(house: House) -> None:
    text = (await house.call("", "GET", "/v1/docs")).text
    keyed = {
        name: "Authorization: Bearer" in text.partition(f'<section id="{name}"')[2].partition("</section>")[0]
        for name in ("send_message", "say_cannot")
    }
    assert keyed == {"send_message": True, "say_cannot": False}


async def test_every_reference_in_the_document_leads_somewhere(house: House) -> None:
    text = (await house.call("", "GET", "/v1/openapi.json")).text
    schemas = (await house.call("", "GET", "/v1/openapi.json")).json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)


async def test_monitoring_hears_whether_we_live_are_ready_and_what_we_did(house: House) -> None:
    assert (await house.call("", "GET", "/healthz")).json() == {"status": "ok"}
    assert (await house.call("", "GET", "/readyz")).json() == {"status": "ready", "missing": []}
    house.not_ready.append("database")
    answer = await house.call("", "GET", "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not_ready", "missing": ["database"]})
    assert (await house.call("", "GET", "/healthz")).status_code == 200
    metrics = await house.call("", "GET", "/metrics")
    assert (metrics.text, metrics.headers["content-type"]) == (
        "ombud_up 1\n",
        "text/plain; version=0.0.4; charset=utf-8",
    )


def test_text_on_a_page_is_escaped() -> None:
    assert said("a <b> `<c>`\n\nd") == "<p>a &lt;b&gt; <code>&lt;c&gt;</code></p><p>d</p>"
