"""Recordings that came as FHIR Observations, found again among the stored messages."""

from __future__ import annotations

import sqlalchemy as sa

from adapters.database.tables import messages, senders

_FHIR = "fhir:"


def kept_answer(engine: sa.Engine, control_id: str) -> bytes | None:
    """What was answered to the FHIR message of that control id; None where there was none.

    Asked for each FHIR sender, of whom there are few: the index begins with the sender.
    """
    with engine.connect() as connection:
        names = connection.execute(sa.select(senders.c.name).where(senders.c.name.startswith(_FHIR))).scalars()
        found = connection.execute(sa.select(messages.c.answer).where(
            messages.c.sender.in_([name.removeprefix(_FHIR) for name in names]),
            messages.c.control_id == control_id).order_by(messages.c.id).limit(1)).scalar()
    return None if found is None else bytes(found)
