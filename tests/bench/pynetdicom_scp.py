"""Stock pynetdicom as a storage SCP: `python -m tests.bench.pynetdicom_scp PORT FOLDER`. Files are not synced."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt


def main(port: int, folder: Path) -> None:
    def store(event: Any) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = AE(ae_title="STOCK")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.maximum_pdu_size = 0
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
