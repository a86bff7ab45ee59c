"""What a real PostgreSQL cannot take, and how it refuses: what never works holds up nothing that does."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from adapters.database.connection import migrate, open_database, writing
from adapters.database.index import InstanceIndex
from adapters.database.messages import DatabaseMessageLog
from adapters.database.tables import instances, orders
from gateway.errors import DatabaseAway
from gateway.orders import InboundMessage, PlaceOrder
from gateway.study import Order, Patient, Sender
from tests.core.support import instance
from tests.peers import postgres
from tests.untouched import Untouched

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ENDLESS = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=9000))
"""More than an entry of an index may have, however it is packed (SQLSTATE 54000, which is told as OperationalError)."""


@pytest.fixture
def database() -> Iterator[sa.Engine]:
    with postgres.cluster() as port:
        engine = open_database(postgres.new_database(port, "faults"))
        migrate(engine)
        yield engine
        engine.dispose()


def test_an_object_that_it_cannot_take_keeps_no_other_out_of_the_index(database: sa.Engine) -> None:
    index = InstanceIndex(database, "SITE", lambda _: None, Untouched())
    index.start()
    index.add(instance("1.2", "1.2.1", AccessionNumber=ENDLESS), conflict=False)
    index.add(instance("1.3", "1.3.1"), conflict=False)
    assert index.flush(20)
    with database.connect() as connection:
        assert connection.execute(sa.select(instances.c.sop_instance_uid)).scalars().all() == ["1.3.1"]
    index.stop()


def test_an_order_that_it_cannot_take_keeps_no_other_out(database: sa.Engine) -> None:
    log = DatabaseMessageLog(database, lambda _: None)
    for key, accession in (("1", ENDLESS), ("2", "A2")):
        order = Order(key, "SITE", Patient("P1"), accession_number=accession)
        log.record([InboundMessage(Sender("hl7", "RIS", "127.0.0.1"), key, datetime.now(UTC), b"MSH", b"AA",
                                   (PlaceOrder(order),))])
    log.start()
    assert log.settle(20)
    log.stop()
    with database.connect() as connection:
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


def test_a_server_that_ends_connections_is_away_and_a_statement_that_never_works_is_not(database: sa.Engine) -> None:
    with pytest.raises(OperationalError):
        _write_too_wide(database)
    other = open_database(database.url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseAway):
        _write_while_it_is_ended(database, other)
    other.dispose()
