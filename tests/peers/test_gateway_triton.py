"""A whole gateway on a real Triton: a server that dies in the middle of a study only delays it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.peers import hospital
from tests.peers.gateway_process import ROUTES, gateway
from tests.peers.triton import Triton
from tests.reading import MODELS

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_a_server_that_dies_in_the_middle_of_a_study_only_delays_it(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    triton = Triton(tmp_path / "models", tmp_path)
    triton.start()
    try:
        with gateway(tmp_path / "gateway", routes=ROUTES, inference={"url": f"grpc://{triton.address}"}) as process:
            sent = hospital.ecg("first", kind="afib", seed=11)
            hospital.storescu(process.dicom_port, *hospital.written(tmp_path / "first", [sent]))
            process.await_worklist(lambda items: items and items[0]["state"] == "reported", "the first is reported")
            assert process.worklist()[0]["verdict"] == "pathology"

            os.mkfifo(triton.hold)
            late = hospital.ecg("second", kind="afib", seed=11)
            hospital.storescu(process.dicom_port, *hospital.written(tmp_path / "second", [late]))

            study = hospital.study_of(late)

            def second(items: list[dict[str, Any]]) -> dict[str, Any]:
                return next((i for i in items if i["study_instance_uid"] == study), {"state": "", "error": ""})

            process.await_worklist(lambda items: second(items)["state"] == "analysing", "the second is being read")
            triton.kill()
            process.await_worklist(lambda items: second(items)["state"] == "waiting" and second(items)["error"],
                                   "it waits, and says why")
            assert second(process.worklist())["verdict"] is None
            triton.hold.unlink()
            triton.start()
            process.await_worklist(lambda items: second(items)["state"] == "reported", "the second is reported")
            assert second(process.worklist())["verdict"] == "pathology"
    finally:
        triton.kill()
