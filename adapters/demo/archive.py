"""The demonstration's PACS: takes whatever comes and keeps it in a folder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from adapters.dicom.transport.contexts import storage_classes, transfer_syntaxes


class Archive:
    """A storage SCP on a free port of loopback. `received`: SOP Instance UID → SOP Class UID."""

    def __init__(self, folder: Path, ae_title: str = "PACS") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.received: dict[str, str] = {}
        self._lock = threading.Lock()
        entity = AE(ae_title=ae_title)
        for uid in storage_classes():
            entity.add_supported_context(uid, transfer_syntaxes())
        entity.add_supported_context(Verification)
        self._server: Any = entity.start_server(("127.0.0.1", 0), block=False,
                                                evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = int(self._server.socket.getsockname()[1])

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        (self._folder / f"{uid}.dcm").write_bytes(event.encoded_dataset())
        with self._lock:
            self.received[uid] = str(event.request.AffectedSOPClassUID)
        return 0x0000

    def stop(self) -> None:
        self._server.shutdown()
