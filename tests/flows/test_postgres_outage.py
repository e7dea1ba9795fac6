"""PostgreSQL is killed and comes back, or drops a connection at its COMMIT: what was acknowledged arrives, once, by itself."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from ombud.db import Database
from ombud.queue import State
from tests.conftest import Postgres
from tests.flows.conftest import Serve, on_postgres
from tests.flows.house import TIMES, House, InThread, Load, mail, until
from tests.flows.nexthop import NextHop
from tests.flows.proxy import Proxy

#: Ends its own connection when a message with this subject is committed.
DROP = """
CREATE FUNCTION drop_connection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.subject = 'drop' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER drop_connection AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION drop_connection();
"""


def _ready(house: House) -> tuple[int, list[str]]:
    answer = house.call("GET", "/readyz", who="")
    return answer.status, answer.body["missing"]


@on_postgres
def test_postgresql_killed_and_restarted_under_load_loses_and_doubles_nothing(serve: Serve, postgres: Postgres) -> None:
    running = serve()
    house = running.house
    house.hop.seconds = 0.01
    with Load(house) as load:
        for _ in range(TIMES):
            load.has(30)
            postgres.stop("immediate")
            try:
                before = load.refused.copy()
                until(lambda before=before: (load.refused - before)[451] and (load.refused - before)[503])  # type: ignore[misc]  # as it is now
            finally:
                postgres.start()
            load.has(30)  # by itself
    assert set(load.refused) <= {451, 503}
    house.arrives(*load.acknowledged, hurry=True)
    assert house.settled().keys() == {State.DELIVERED}
    assert set(house.hop.taken.values()) == {1}  # also what was taken in, and the answer lost
    assert house.unwell() == []
    assert _ready(house) == (200, [])


@on_postgres
def test_readyz_tells_that_the_database_is_gone_and_is_well_when_it_is_back(serve: Serve, postgres: Postgres) -> None:
    running = serve()
    house = running.house
    with house.hop.holding():
        assert house.submit("before@post.example")[0] == 250
        until(lambda: house.hop.waiting)
        postgres.stop("immediate")
        try:
            house.hop.let_go()  # delivered now, and the outcome cannot be written
            until(lambda: house.hop.taken)
            assert house.submit("no@post.example")[0] == 451
            answer = house.post(to=["no@post.example"])
            assert (answer.status, answer.code) == (503, "database_gone")
            running.service._last_refresh -= 14  # so that it need not be waited for
            until(lambda: _ready(house)[0] == 503)
            assert _ready(house) == (503, ["database"])
            assert house.call("GET", "/healthz", who="").status == 200
        finally:
            postgres.start()
    until(lambda: _ready(house) == (200, []))
    until(lambda: house.submit("after@post.example")[0] == 250)
    house.arrives("before@post.example", "after@post.example")
    assert "no@post.example" not in house.known()
    assert house.hop.taken == {"before@post.example": 1, "after@post.example": 1}


@on_postgres
def test_a_connection_dropped_at_commit_is_a_451_and_nothing_of_it_is_kept(serve: Serve) -> None:
    running = serve()
    house = running.house
    database = Database.open(house.database)
    with database.write() as tx:
        tx.execute(text(DROP))
    database.close()
    code, words = house.submit("no@post.example", mail().replace(b"Hyresavi", b"drop"))
    assert code == 451 and words.startswith("4.3.0 ") and words.endswith("[database_gone]")
    answer = house.post(to=["no@post.example"], subject="drop")
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "database_gone", True)
    assert house.submit("after@post.example")[0] == 250
    house.arrives("after@post.example")
    assert house.known() == {"after@post.example": State.DELIVERED}
    assert house.hop.taken == {"after@post.example": 1}


def test_an_acceptance_whose_commit_was_never_answered_is_looked_up_and_told_as_it_is(
    tmp_path: Path, hop: NextHop, postgres: Postgres
) -> None:
    proxy = Proxy(postgres.port)
    house = House(tmp_path, postgres.fresh().replace(str(postgres.port), str(proxy.port)), hop)
    running = InThread(house)
    try:
        proxy.drop_next_commit_answer(having=b"anna@post.example")
        assert house.submit()[0] == 250  # it was committed, and it has found that out
        until(lambda: proxy.dropped)
        house.arrives("anna@post.example", hurry=True)
        house.settled()
        assert house.hop.taken == {"anna@post.example": 1}
        assert house.unwell() == []
    finally:
        running.stop()
        proxy.close()
