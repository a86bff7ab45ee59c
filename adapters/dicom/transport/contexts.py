"""Presentation contexts that the gateway accepts (PS3.4 Annex B, PS3.5 Annex A)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.uid import UID_dictionary
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import Verification

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_USUAL = ("9", "2", "4", "77.1.4", "77.1.7", "7", "1", "88", "66", "11", "104", "6", "3", "13", "12", "128", "130",
          "20", "481.1", "481.2", "481.3", "481.5", "77")
"""Families of storage classes, the usual first: what our pipelines read (waveforms, CT, MR, photographs, dermoscopy),
then what else archives commonly hold; the rest is measurements of the eye, records of radiotherapy and the like."""


class SharedContexts(list[Any]):
    """A list that every association may share, since negotiation only reads it.

    The library copies its list deeply for each connection, which takes 60 ms with all classes and syntaxes.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedContexts:
        return self


def transfer_syntaxes() -> list[str]:
    """Every transfer syntax of PS3.6, in the order of preference where a sender offers several in one context.

    Uncompressed first: what arrives so is read without a decoder.
    """
    known = [uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"]
    first = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
    return first + [uid for uid in known if uid not in first]


def storage_classes(more: Iterable[str] = ()) -> list[str]:
    """Every storage SOP class that the library knows, and `more` (private or newer ones)."""
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return list(dict.fromkeys([*known, *more]))


def usual_first(more: Iterable[str] = ()) -> list[str]:
    """Every storage SOP class in the order in which a requestor asks for them that cannot ask for all at once."""
    private = frozenset(more)

    def rank(uid: str) -> int:
        found = [number for number, start in enumerate(_USUAL) if f"{uid}.".startswith(f"{_STORAGE}{start}.")]
        return found[0] if found else len(_USUAL) + (uid not in private)

    return sorted(storage_classes(more), key=rank)


def supported(more: Iterable[str] = ()) -> SharedContexts:
    """Contexts for an acceptor, where the limit of 128 for a requestor does not apply."""
    syntaxes = transfer_syntaxes()
    contexts = SharedContexts(build_context(uid, syntaxes) for uid in storage_classes(more))
    contexts.append(build_context(Verification, [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN]))
    return contexts


def served(abstract_syntax: str, syntaxes: Iterable[str], scp_role: bool) -> Any:
    """The context of another service class; `scp_role`: the requestor may be SCU and SCP of it."""
    context = build_context(abstract_syntax, list(syntaxes))
    if scp_role:
        context.scu_role = context.scp_role = True
    return context
