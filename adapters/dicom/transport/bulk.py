"""Bulk data (PS3.18 10.4, Bulkdata resources): the long binary values that metadata refer to, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fastapi.responses import Response

from adapters.dicom.content import dicom_json, frames, media, transcode
from adapters.dicom.content.frames import Image
from adapters.dicom.transport.answers import Part, Refusal, multipart, single
from gateway.errors import Unusable
from gateway.study import Instance


def bulk_of(instance: Instance, where: str, accepted: Sequence[media.Range]) -> Response:
    """The value at `where`. Raises Refusal 404, NotAcceptable, Unusable, Transient."""
    path = Path(instance.path)
    if dicom_json.is_pixel_data(where):
        image = frames.describe(path)
        return frames_of(image, range(1, image.frames + 1), accepted, whole=True)
    value = _value(path, where)
    if value is None:
        raise Refusal(404, "The object has no binary value there.")
    wanted = media.bulk(accepted, instance.transfer_syntax_uid, "", decodable=True, single=True)
    part = Part(media.OCTETS, (value,))
    return multipart(media.OCTETS, [part]) if wanted.multipart else single(part)


def _value(path: Path, where: str) -> bytes | None:
    with frames.reading(), dicom_json.opened(path) as dataset:
        element = dicom_json.element_at(dataset, where)
        return None if element is None else transcode.plain_value(dataset, element)


def frames_of(image: Image, numbers: Sequence[int], accepted: Sequence[media.Range], *,
              whole: bool = False) -> Response:
    """Frames (1-based), each a part; `whole`: all of them as one value where they are plain.

    Raises NotAcceptable, Unusable, Transient, all before the answer begins where the first frame tells.
    """
    stored = image.transfer_syntax_uid
    native = frames.NATIVE_TYPES.get(stored, media.OCTETS if image.encapsulated else "")
    wanted = media.bulk(accepted, stored, native, decodable=frames.decodable(stored),
                        single=len(numbers) == 1 or whole)
    pieces = _begun((frames.encoded_frame(image, n) for n in numbers) if wanted.native
                    else frames.plain_frames(image, numbers))
    if whole and not wanted.native:
        parts: Iterator[Part] = iter((Part(media.OCTETS, pieces),))
    else:
        parts = (Part(wanted.media_type, (piece,), stored if wanted.native else "") for piece in pieces)
    return multipart(wanted.media_type, parts) if wanted.multipart else single(next(parts))


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first of them read at once: what it raises can still be answered."""
    first = next(pieces)

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rest()


def bulk_parts(instance: Instance, prefix: str) -> Iterator[Part]:
    """Every long value of an object as a part; pixel data that cannot be decoded come as they are stored, frame by
    frame. `prefix`: of their URLs."""
    path = Path(instance.path)
    with frames.reading(), dicom_json.opened(path) as dataset:
        places = list(dicom_json.bulk_paths(dataset))
    for where in places:
        if dicom_json.is_pixel_data(where):
            yield from _pixel_parts(path, prefix + where)
        elif (value := _value(path, where)) is not None:
            yield Part(media.OCTETS, (value,), location=prefix + where)


def _pixel_parts(path: Path, location: str) -> Iterator[Part]:
    image = frames.describe(path)
    numbers = range(1, image.frames + 1)
    try:
        yield Part(media.OCTETS, _begun(frames.plain_frames(image, numbers)), location=location)
    except Unusable:
        if not image.encapsulated:
            raise
        for number in numbers:
            yield Part(media.OCTETS, (frames.encoded_frame(image, number),), image.transfer_syntax_uid, location)
