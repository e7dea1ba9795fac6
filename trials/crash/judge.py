"""The judge: from what injector and sink wrote down, what was lost, doubled or changed. Pure; it opens no database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trials.crash.ledger import Ack, Copy, Entry, No, Offer, Refusal

EXAMPLES = 5


@dataclass
class Verdict:
    """Counts of recipients where nothing else is said; `examples` names some of what is wrong, by address or token."""

    acknowledged: int = 0
    unacknowledged: int = 0  # offered, and no answer came: it may have been taken in or not
    refused_in: int = 0  # messages that Ombud refused for good; the injector sends nothing that it should refuse
    delivered: int = 0  # acknowledged, and at the sink
    refused_out: int = 0  # acknowledged, and refused by the sink for good
    lost: int = 0  # acknowledged, and neither
    duplicates: int = 0  # copies beyond the first
    labelled: int = 0  # of these, those that Ombud had labelled `unknown` beforehand
    unlabelled: int = 0
    twice: int = 0  # messages with an Idempotency-Key that were accepted more than once, or answered in two ways
    altered: int = 0  # copies that differ from what was handed in, or from one another
    strange: int = 0  # copies for someone who was not offered, or with another customer's sender
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.unlabelled or self.twice or self.altered or self.strange or self.refused_in)


@dataclass(frozen=True, slots=True)
class _Books:
    offers: Mapping[str, Offer]  # by token
    owner: Mapping[str, Offer]  # by recipient
    acks: Mapping[str, Sequence[Ack]]
    refusals: Sequence[Refusal]
    copies: Mapping[str, Sequence[Copy]]  # by recipient
    refused: frozenset[str]


def judge(injected: Iterable[Entry], sunk: Iterable[Entry], labels: Mapping[str, int]) -> Verdict:
    """`labels`: how many times Ombud has said `unknown` of each recipient, asked for when its queue had run dry."""
    books, verdict = _open(injected, sunk), Verdict()
    _count_acknowledged(books, verdict)
    _count_copies(books, labels, verdict)
    _count_twice(books, verdict)
    return verdict


def _open(injected: Iterable[Entry], sunk: Iterable[Entry]) -> _Books:
    offers: dict[str, Offer] = {}
    acks: dict[str, list[Ack]] = defaultdict(list)
    refusals: list[Refusal] = []
    for entry in injected:
        match entry:
            case Offer():
                offers[entry.token] = entry
            case Ack():
                acks[entry.token].append(entry)
            case Refusal():
                refusals.append(entry)
    copies: dict[str, list[Copy]] = defaultdict(list)
    refused: set[str] = set()
    for entry in sunk:
        match entry:
            case Copy():
                for recipient in entry.recipients:
                    copies[recipient].append(entry)
            case No():
                refused.add(entry.recipient)
    owner = {recipient: offer for offer in offers.values() for recipient in offer.recipients}
    return _Books(offers, owner, acks, refusals, copies, frozenset(refused))


def _count_acknowledged(books: _Books, verdict: Verdict) -> None:
    refused = {one.token for one in books.refusals}
    for one in books.refusals:
        _note(verdict, "refused_in", f"{one.token}: {one.words[:200]}")
    for token, offer in books.offers.items():
        if token not in books.acks:
            verdict.unacknowledged += 0 if token in refused else len(offer.recipients)
            continue
        for recipient in offer.recipients:
            verdict.acknowledged += 1
            if recipient in books.copies:
                verdict.delivered += 1
            elif recipient in books.refused:
                verdict.refused_out += 1
            else:
                _note(verdict, "lost", recipient)


def _count_copies(books: _Books, labels: Mapping[str, int], verdict: Verdict) -> None:
    for recipient, copies in books.copies.items():
        extra = len(copies) - 1
        labelled = min(extra, labels.get(recipient, 0))
        verdict.duplicates += extra
        verdict.labelled += labelled
        for _ in range(extra - labelled):
            _note(verdict, "unlabelled", recipient)
        offer = books.owner.get(recipient)
        if offer is None:
            _note(verdict, "strange", recipient)
            continue
        if any(copy.mail_from.partition("@")[2] != f"{offer.customer}.example" for copy in copies):
            _note(verdict, "strange", recipient)
        wanted = offer.sha or copies[0].sha
        # All of the bytes, the signature too: whoever has both copies must see that they are one message.
        if any(
            copy.sha != wanted or copy.whole != copies[0].whole or copy.message_id != copies[0].message_id
            for copy in copies
        ):
            _note(verdict, "altered", recipient)


def _count_twice(books: _Books, verdict: Verdict) -> None:
    """A call with a key is accepted once, and answered alike, however often it is made."""
    for token, offer in books.offers.items():
        ids = {
            copy.ombud or copy.message_id.rpartition("-")[0]
            for one in offer.recipients
            for copy in books.copies.get(one, ())
        }
        answers = Counter(ack.answer for ack in books.acks.get(token, ()))
        if len(ids) > 1 or (offer.key and len(answers) > 1):
            _note(verdict, "twice", token)


def _note(verdict: Verdict, what: str, name: str) -> None:
    setattr(verdict, what, getattr(verdict, what) + 1)
    examples = verdict.examples.setdefault(what, [])
    if len(examples) < EXAMPLES:
        examples.append(name)
