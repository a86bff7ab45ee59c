"""A real Triton server on loopback, from PyPI's `nvidia-pytriton`, started and stopped by tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.peers.dcmtk import free_port

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".tools" / "triton"
RELEASE = "nvidia-pytriton==0.7.0"


def home() -> Path:
    """Where Triton lies; installs it there the first time. Skips, saying why, where it cannot be had."""
    if not (HOME / "pytriton" / "tritonserver").is_dir():
        _install()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not (HOME / "pytriton" / "tritonserver" / "python_backend_stubs" / version).is_dir():
        pytest.skip(f"{RELEASE} has no Python backend for Python {version}")
    _need_libraries(version)
    return HOME


def _need_libraries(version: str) -> None:
    stub = HOME / "pytriton" / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
    told = subprocess.run(["ldd", str(stub)], capture_output=True, text=True, env=_environment(), check=False).stdout
    missing = [line.split()[0] for line in told.splitlines() if "not found" in line]
    if missing:
        pytest.skip(f"Triton's Python backend lacks {', '.join(missing)} here")


def _environment() -> dict[str, str]:
    libraries = [str(HOME / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR") or ""]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries), "PYTHONPATH": sysconfig.get_paths()["purelib"]}


def _install() -> None:
    """Beside its place first, so that an interrupted download is not taken for the whole."""
    part = HOME.with_name(f"triton.{os.getpid()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(part), RELEASE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    except subprocess.TimeoutExpired:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"{RELEASE} was not downloaded within 280 s")
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"{RELEASE} cannot be installed here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    part.rename(HOME)


def backends(folder: Path) -> Path:
    """Triton's backend directory: its Python backend with the stub for this Python, and ours for ONNX."""
    server = home() / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(server / "backends" / "python", folder / "python")
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "python")
    ours = folder / "onnxruntime"
    ours.mkdir()
    shutil.copy(Path(__file__).with_name("triton_backend") / "model.py", ours)
    return folder


@dataclass
class Triton:
    """One server over one model repository. `start` returns when it is ready; `kill` is as hard as it gets."""

    repository: Path
    work: Path
    grpc_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def _shared(self) -> str:
        return f"triage_test_{self.grpc_port}_"

    @property
    def hold(self) -> Path:
        """While a named pipe lies here, a request waits in the server until somebody writes to it."""
        return self.work / "hold"

    def start(self) -> None:
        folder = self.work / "backends"
        if not folder.exists():
            backends(folder)
        command = [
            str(home() / "pytriton" / "tritonserver" / "bin" / "tritonserver"), f"--model-repository={self.repository}",
            f"--backend-directory={folder}", "--grpc-address=127.0.0.1", f"--grpc-port={self.grpc_port}",
            "--http-address=127.0.0.1", f"--http-port={self.http_port}", "--allow-metrics=false",
            "--disable-auto-complete-config",
            f"--backend-config=python,shm-region-prefix-name={self._shared}"]
        with (self.work / "triton.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log,
                                            start_new_session=True)
        self._wait()

    def _environment(self) -> dict[str, str]:
        return {**_environment(), "TRIAGE_TEST_HOLD": str(self.hold)}

    def _wait(self) -> None:
        """Until every model is ready (Triton opens its port only then); fails with its last lines when it ends."""
        address = f"http://127.0.0.1:{self.http_port}/v2/health/ready"
        with httpx.Client(transport=httpx.HTTPTransport(retries=7), timeout=60) as client:
            while self.process is not None and self.process.poll() is None:
                try:
                    client.get(address).raise_for_status()
                    return
                except httpx.TransportError:
                    continue
        last = (self.work / "triton.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"tritonserver ended: {last}")

    def kill(self) -> None:
        """SIGKILL to the server and the processes it started."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for left in Path("/dev/shm").glob(f"{self._shared}*"):
            left.unlink(missing_ok=True)
