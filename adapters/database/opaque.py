"""Ids for addresses: row ids with a mark, so that an id of something deleted never names what took its row."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import upsert
from adapters.database.tables import facts
from gateway.errors import Unusable
from gateway.identity import digest

_FACT = "address_salt"
_MARK = 12
_LARGEST_ROW = 2**62


class Addresses:
    """`salt`: of this database. Without it nobody can try out which patient id an address stands for."""

    def __init__(self, salt: str) -> None:
        self._salt = salt

    def of(self, row_id: int, *natural: str) -> str:
        """Letters and digits. `natural`: what makes the row what it is."""
        return f"{row_id:x}{self._mark(natural)}"

    def row(self, address: str) -> int | None:
        """The row that the address may stand for; `fits` says whether it does."""
        try:
            row_id = int(address[:-_MARK], 16)
        except ValueError:
            return None
        return row_id if address.isalnum() and row_id <= _LARGEST_ROW else None

    def fits(self, address: str, *natural: str) -> bool:
        return address[-_MARK:] == self._mark(natural)

    def _mark(self, natural: tuple[str, ...]) -> str:
        return digest("address", self._salt, *natural)[:_MARK]


def open_addresses(engine: sa.Engine) -> Addresses:
    """Those of this database: its salt is made at the first start."""
    with engine.begin() as connection:
        made = upsert(engine, facts).values(name=_FACT, value=secrets.token_hex(16))
        connection.execute(made.on_conflict_do_nothing())
        salt: Any = connection.execute(sa.select(facts.c.value).where(facts.c.name == _FACT)).scalar_one()
    return Addresses(str(salt))


def row_before(cursor: str | None) -> int | None:
    """The row id in a cursor. Raises Unusable where it is none."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or int(cursor) > _LARGEST_ROW:
        raise Unusable("The cursor is not one that this list gave.", element="cursor")
    return int(cursor)
