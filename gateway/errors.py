"""One tree of errors, drawn by what the operator does about them.

Messages never carry patient data: they name elements, states and identifiers of our own making.
"""


class GatewayError(Exception):
    """Root of every error the gateway raises on purpose."""


class Rejected(GatewayError):
    """The sender's mistake: answer with the protocol's refusal and one useful sentence."""

    def __init__(self, reason: str, *, element: str = "") -> None:
        """`reason`: one sentence for the sender. `element`: what it is about (keyword, `PID-3`, FHIRPath)."""
        super().__init__(reason)
        self.reason = reason
        self.element = element


class Unreadable(Rejected):
    """The bytes cannot be read at all (HL7: AR; DICOM: 0xC000; FHIR: 400)."""


class Mislabelled(Unreadable):
    """The data set is written in another transfer syntax than its header says. `header`: one that says which."""

    def __init__(self, header: bytes) -> None:
        super().__init__("The data set is not in the transfer syntax that was announced.", element="TransferSyntaxUID")
        self.header = header


class Unusable(Rejected):
    """Readable, but something needed is missing or contradicts (HL7: AE; DICOM: 0xA900; FHIR: 422)."""


class NotFound(Rejected):
    """There is no such thing (any more)."""


class Conflict(Rejected):
    """The thing is in a state that does not allow it; the sentence says what does."""


class Stale(Rejected):
    """Somebody changed it since it was read."""


class Transient(GatewayError):
    """May work later: retry with back-off (peer down, disk full, model not ready)."""


class Permanent(GatewayError):
    """Will not work however often it is tried: dead letter, alarm."""


class DatabaseAway(Transient):
    """The database does not answer. `why`: what its driver says, for the log; never part of the sentence."""

    def __init__(self, why: str = "") -> None:
        super().__init__("The database does not answer; try again later.")
        self.why = why


class NotReady(Transient):
    """A model or a server is not ready, or is not the one that was asked for."""


class StorageFull(Transient):
    """The free-space floor is reached: nothing new is taken in."""


class ConfigurationError(GatewayError):
    """The configuration is wrong; the message names file, line and key."""
