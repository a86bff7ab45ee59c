"""Is an ORU^R01 file what the standard asks, and what our own reader wants of it?"""

from __future__ import annotations

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from adapters.hl7.content.oru_claims import claims
from gateway.errors import Rejected


def check(content: bytes) -> list[str]:
    """Sentences about what is wrong with an ORU^R01 of ours, none where it is sound. They repeat no values."""
    return _own(content) + _strict(content)


def _own(content: bytes) -> list[str]:
    try:
        told = claims(content)
    except Rejected as error:
        return [error.reason]
    except ValueError:
        return ["a risk or a probability is no number"]
    return [] if told.verdict else ["the verdict has no code of ours"]


def _strict(content: bytes) -> list[str]:
    """hl7apy in strict mode: segments, fields, lengths and data types of the version in MSH-12."""
    try:
        parse_message(content.decode(), validation_level=VALIDATION_LEVEL.STRICT).validate()
    except UnicodeDecodeError:
        return ["the message is not in UTF-8"]
    except (HL7apyException, ValueError, LookupError, AttributeError, TypeError) as error:
        return [f"hl7apy, strict: {type(error).__name__}"]
    return []
