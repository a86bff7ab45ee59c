"""What a C-STORE request is like, so that the next may be compared with it as a whole: its command set, the fragments
of its data set, how that lies, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapters.dicom.content import upper_layer
from adapters.dicom.content.familiar import HEAD, values_of
from adapters.dicom.content.layout import Recognised
from adapters.dicom.content.pdu_events import Command

Place = tuple[int, int]
"""Where a value begins, and its bytes."""
Fragment = tuple[int, int, bytes]
"""Of a data set: where it begins in the message, its bytes, and what stands before it (PS3.8 9.3.5)."""
MOST_FRAGMENTS = 32


class Likeness(NamedTuple):
    """Bytes are compared where the mask has ones. In the order that `adapters/dicom/transport/_alike.c` expects."""

    command: bytes
    """The command set's P-DATA-TF, 0 where it is free."""
    command_mask: bytes
    message_id_at: int
    instance_at: int
    instance_length: int
    """Of the Affected SOP Instance UID, padding included."""
    fragments: tuple[Fragment, ...]
    size: int
    """Bytes of the whole message."""
    heads: bytes
    """The first elements of the data set, 0 where they are free."""
    mask: bytes
    high: bytes
    """Bits that must not be set: of text that is no ASCII."""
    sop_class_place: Place
    instance_place: Place
    study_place: Place
    series_place: Place
    sop_class: bytes
    study: bytes
    behind: bytes
    """What follows on `heads`: the head of the last element."""
    answer: bytes
    """The P-DATA-TF of its response."""
    answer_id_at: int
    answer_instance_at: int


def likeness_of(command: Command, lengths: Sequence[int], lies: Recognised, response: bytes) -> Likeness | None:
    """Of a message that came as one P-DATA-TF for the command set and one for each fragment, of so many bytes, of its
    data set, which is all of what was recognised and at most one element; `response`: the command set of its answer.
    None where it is no message whose like can be told. Raises ValueError where its command set is an unusual one."""
    layout = lies.layout
    behind, places = layout.behind(sum(lengths)), {keyword: (at, end - at) for keyword, at, end in layout.uids}
    if behind is None or not places or not 0 < len(lengths) <= MOST_FRAGMENTS or layout.size + len(behind) > lengths[0]:
        return None
    asked, answered = values_of(command.encoded), values_of(response)
    if _length(asked) != _length(answered):
        return None
    mask, masked = layout.masked()
    request = upper_layer.command_pdu(command.context, command.encoded)
    free = bytearray(b"\xff" * len(request))
    for number in (upper_layer.MESSAGE_ID, upper_layer.AFFECTED_SOP_INSTANCE):
        start, end = asked[number]
        free[HEAD + start:HEAD + end] = bytes(end - start)
    fragments = _fragments(command.context, len(request), lengths)
    start, end = asked[upper_layer.AFFECTED_SOP_INSTANCE]
    return Likeness(
        _and(request, free), bytes(free), HEAD + asked[upper_layer.MESSAGE_ID][0], HEAD + start, end - start, fragments,
        fragments[-1][0] + fragments[-1][1], masked, mask, layout.high(), places["SOPClassUID"],
        places["SOPInstanceUID"], places["StudyInstanceUID"], places["SeriesInstanceUID"],
        lies.raw(places["SOPClassUID"]), lies.raw(places["StudyInstanceUID"]), behind,
        upper_layer.command_pdu(command.context, response), HEAD + answered[upper_layer.RESPONDED_TO][0],
        HEAD + answered[upper_layer.AFFECTED_SOP_INSTANCE][0])


def _length(values: Mapping[int, Place]) -> int:
    start, end = values[upper_layer.AFFECTED_SOP_INSTANCE]
    return end - start


def _fragments(context: int, at: int, lengths: Sequence[int]) -> tuple[Fragment, ...]:
    fragments = []
    for number, length in enumerate(lengths):
        last = number == len(lengths) - 1
        fragments.append((at + HEAD, length, upper_layer.fragment_head(context, length, last=last)))
        at += HEAD + length
    return tuple(fragments)


def _and(data: bytes, mask: bytes | bytearray) -> bytes:
    return bytes(one & kept for one, kept in zip(data, mask, strict=True))
