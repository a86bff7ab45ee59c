"""What is refused before any handler runs, and what every answer carries."""

from __future__ import annotations

import io

import httpx
import pytest
import structlog
from fastapi import APIRouter

from adapters.web.archive import members
from adapters.web.guard import address_allowed, allowed_networks, host_allowed
from adapters.web.principal import principal_of
from adapters.web.problems import Refusal
from gateway.errors import ConfigurationError, Unreadable
from gateway.settings import HttpSettings, Settings
from tests.archives import zipped
from tests.web_fakes import World, fake_object

READ = f"/api/cases/{1:020x}/read"


def asker(settings: HttpSettings, address: str = "127.0.0.1", host: str = "127.0.0.1") -> httpx.AsyncClient:
    app = World(Settings(http=settings)).app()
    transport = httpx.ASGITransport(app, client=(address, 40000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8080")


@pytest.mark.parametrize(("address", "status"), [
    ("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("192.168.0.7", 200), ("127.0.0.1", 200), ("10.2.0.1", 403),
    ("192.168.0.8", 403), ("not-an-address", 403)])
async def test_only_listed_addresses_are_answered(address: str, status: int) -> None:
    settings = HttpSettings(host="0.0.0.0", allowed_addresses=["10.1.0.0/16", "192.168.0.7"])
    async with asker(settings, address) as client:
        assert (await client.get("/api/worklist")).status_code == status


def test_a_bind_to_other_machines_needs_a_list() -> None:
    with pytest.raises(ConfigurationError, match="allowed_addresses"):
        World(Settings(http=HttpSettings(host="0.0.0.0"))).app()
    with pytest.raises(ConfigurationError, match="allowed_addresses"):
        allowed_networks(HttpSettings(host="0.0.0.0", allowed_addresses=["ward 3"]))
    assert allowed_networks(HttpSettings(host="::1")) is None
    assert address_allowed("10.9.9.9", None)


@pytest.mark.parametrize(("host", "allowed"), [
    ("127.0.0.1:8080", True), ("[::1]:8080", True), ("localhost", True), ("triage.hospital.example", True),
    ("10.1.2.3", True), ("attacker.example:8080", False), ("", False), ("[", False)])
def test_host_names(host: str, allowed: bool) -> None:
    assert host_allowed(host, HttpSettings(allowed_hosts=["triage.hospital.example"])) is allowed


async def test_a_foreign_host_name_is_refused() -> None:
    async with asker(HttpSettings(), host="attacker.example") as client:
        answer = await client.get("/api/worklist")
    assert answer.status_code == 400
    assert "allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 200), ({"Origin": "http://127.0.0.1:8080"}, 200), ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Origin": "http://attacker.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "http://127.0.0.1:9999"}, 403)])
async def test_writes_come_from_our_own_page_or_from_no_browser(headers: dict[str, str], status: int) -> None:
    async with asker(HttpSettings()) as client:
        assert (await client.post(READ, headers=headers)).status_code == status
        assert (await client.get("/api/worklist", headers=headers)).status_code == 200


async def test_long_bodies_are_refused_with_and_without_a_length() -> None:
    async def endless() -> object:
        for _ in range(40):
            yield b"x" * 65536

    async with asker(HttpSettings(maximum_upload_bytes=1000)) as client:
        assert (await client.post(READ, content=b"x" * (1024 * 1024 + 1))).status_code == 413
        told = await client.post("/api/predict", files={"file": ("a", b"x" * 2000)})
        assert (told.status_code, told.json()["detail"]) == (413, (
            "The body is longer than the 1000 bytes taken here: send less at once, or raise http.maximum_upload_bytes "
            "in the configuration."))
        assert (await client.post("/api/predict", files={"file": ("a", fake_object("x"))})).status_code == 200
        streamed = await client.put(READ.replace("read", "priority"), content=endless())
        assert (streamed.status_code, "/api/studies" in streamed.json()["detail"]) == (413, True)


async def test_every_answer_carries_the_security_headers() -> None:
    async with asker(HttpSettings()) as client:
        for path in ("/", "/api/worklist", "/nothing", "/static/page.css", "/openapi.json"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


async def test_logs_name_the_route_and_never_the_path() -> None:
    with structlog.testing.capture_logs() as logs:
        async with asker(HttpSettings()) as client:
            await client.post(READ)
            await client.get("/api/worklist?cursor=PatientName")
            await client.get("/no/PatientName")
            await client.get("/static/page.css")
    routes = [entry["route"] for entry in logs if entry["event"] == "http_request"]
    assert routes == ["/api/cases/{case_id}/read", "/api/worklist", "unmatched", "/static"]
    assert "PatientName" not in str(logs)
    assert [e["by"] for e in logs if e["event"] == "case_marked_read"] == ["127.0.0.1"]


async def test_no_handler_runs_without_a_principal() -> None:
    def nobody() -> None:
        raise Refusal(401, "Log in first.")

    extra = APIRouter()
    extra.add_api_route("/fhir/metadata", lambda: {}, methods=["GET"])
    app = World().app(routers=[extra])
    app.dependency_overrides[principal_of] = nobody
    pages = [("get", path) for path in ("/", "/fragments/worklist", "/cases/1", "/deliveries", "/models", "/docs")]
    listed = [(method, path) for path, methods in app.openapi()["paths"].items() for method in methods]
    assert ("get", "/fhir/metadata") in listed
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for method, path in listed + pages:
            answer = await client.request(method, path.replace("{delivery_id}", "1").replace("{kind}", "sr"))
            assert answer.status_code == 401, (method, path)


def packed(*sizes: int) -> io.BytesIO:
    return io.BytesIO(zipped(*((f"{number}.dcm", fake_object("") + bytes(size)) for number, size in enumerate(sizes))))


def test_a_zip_bomb_stops_at_the_limit() -> None:
    with pytest.raises(Unreadable, match="unpacks to more"):
        list(members(packed(50_000_000), "bomb.zip", 1_000_000))
    with pytest.raises(Unreadable, match="unpacks to more"):
        list(members(packed(*[400_000] * 5), "bomb.zip", 1_000_000))
    assert len(list(members(packed(400_000, 400_000), "fine.zip", 1_000_000))) == 2


def test_a_zip_of_too_many_files_and_an_encrypted_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.archive.MAXIMUM_MEMBERS", 2)
    with pytest.raises(Unreadable, match="more than 2"):
        list(members(packed(1, 1, 1), "many.zip", 1000))
    content = bytearray(packed(10).getvalue())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (member,) = members(io.BytesIO(bytes(content)), "locked.zip", 1000)
    assert "encrypted" in member.reason
