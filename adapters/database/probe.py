"""Does the database answer?"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import DatabaseAway


def probe(engine: sa.Engine) -> str:
    """The word ok, or why not."""
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(1))
    except (SQLAlchemyError, DatabaseAway) as error:
        return f"the database does not answer ({type(error.__cause__ or error).__name__})"
    return "ok"
