"""What a real PostgreSQL cannot take, and how it refuses: what never works holds up nothing that does."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from adapters.database.connection import open_database, writing
from adapters.database.messages import DatabaseMessageLog
from adapters.database.tables import instances, orders
from gateway.errors import DatabaseAway
from gateway.orders import InboundMessage, PlaceOrder
from gateway.study import Order, Patient, Sender
from tests.core.support import Core, core
from tests.peers import postgres

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ENDLESS = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=9000))
"""More than an entry of an index may have, however it is packed (SQLSTATE 54000, which is told as OperationalError)."""


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Core]:
    with postgres.cluster() as port, core(tmp_path, start=False,
                                          url=postgres.new_database(port, "faults")) as running:
        yield running


def test_an_object_that_it_cannot_take_keeps_no_other_out_of_the_index(beside: Core) -> None:
    beside.index.start()
    beside.receive("1.2", "1.2.1", AccessionNumber=ENDLESS)
    beside.receive("1.3", "1.3.1")
    assert beside.index.flush(20)
    with beside.database.connect() as connection:
        assert connection.execute(sa.select(instances.c.sop_instance_uid)).scalars().all() == ["1.3.1"]
    beside.index.stop()


def test_an_order_that_it_cannot_take_keeps_no_other_out(beside: Core) -> None:
    log = DatabaseMessageLog(beside.database, lambda _: None)
    for key, accession in (("1", ENDLESS), ("2", "A2")):
        order = Order(key, "SITE", Patient("P1"), accession_number=accession)
        log.record([InboundMessage(Sender("hl7", "RIS", "127.0.0.1"), key, datetime.now(UTC), b"MSH", b"AA",
                                   (PlaceOrder(order),))])
    log.start()
    assert log.settle(20)
    log.stop()
    with beside.database.connect() as connection:
        assert connection.execute(sa.select(orders.c.order_id)).scalars().all() == ["2"]


def _write_too_wide(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.text("CREATE TABLE wide (text text PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO wide VALUES (:text)"), {"text": ENDLESS})


def _write_while_it_is_ended(engine: sa.Engine, other: sa.Engine) -> None:
    with writing(engine) as connection:
        own = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with other.connect() as second:
            second.execute(sa.text("SELECT pg_terminate_backend(:own)"), {"own": own})
        connection.execute(sa.text("SELECT 1"))


def test_a_server_that_ends_connections_is_away_and_a_statement_that_never_works_is_not(beside: Core) -> None:
    with pytest.raises(OperationalError):
        _write_too_wide(beside.database)
    other = open_database(beside.database.url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseAway):
        _write_while_it_is_ended(beside.database, other)
    other.dispose()
