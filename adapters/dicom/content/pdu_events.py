"""What an established association's bytes mean (PS3.8 9.3, PS3.7 E), as `pdu_reader` tells it."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.dicom.content.upper_layer import DATA_SET_TYPE, NO_DATA_SET


@dataclass(slots=True)
class Command:
    """A whole command set. `fields`: element number in group 0 → value. `encoded`: as it came."""

    context: int
    fields: dict[int, int | str]
    encoded: bytes

    @property
    def has_dataset(self) -> bool:
        return self.fields.get(DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET


@dataclass(slots=True)
class Data:
    """A piece of the data set of the last command; a view of what was fed."""

    piece: memoryview
    last: bool


@dataclass(slots=True)
class OtherPdu:
    """A PDU that is no P-DATA-TF, with its head."""

    kind: int
    encoded: bytes


Event = Command | Data | OtherPdu
