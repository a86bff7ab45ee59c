"""The worklist page with 100 rows in Chromium: how soon it can be used, and how much comes over the wire for it."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import sqlalchemy as sa
from playwright.sync_api import Browser

from adapters.database.connection import database_url, migrate, open_database
from adapters.database.tables import runs
from tests.bench.lines import against_limit, skipped
from tests.browser.support import CHROMIUM, chromium
from tests.many_cases import seed
from tests.peers.gateway_process import GatewayProcess

CASES, ROWS, VISITS = 1000, 100, 9
SECONDS_LIMIT, BYTES_LIMIT = 1.0, 200_000
READY = """async () => {
  while (!performance.getEntriesByName("interactive").length) await new Promise((done) => setTimeout(done, 5));
  return performance.getEntriesByName("interactive")[0].startTime / 1000;
}"""


def main() -> None:
    if not CHROMIUM.exists():
        skipped("page", f"{CHROMIUM} is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as name:
        gateway = GatewayProcess(Path(name), {"log": {"level": "warning"}})
        gateway.data.mkdir(parents=True)
        engine = open_database(database_url("", gateway.data))
        migrate(engine)
        seed(engine, CASES)
        with engine.begin() as connection:  # nothing of it is there to be read
            connection.execute(sa.update(runs).values(state="cancelled"))
        engine.dispose()
        gateway.start()
        try:
            with chromium() as browser:
                _report([_visit(browser, gateway.url) for _ in range(VISITS)])
        finally:
            gateway.stop()


def _visit(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds from the navigation until the list takes keys and filters; bytes received. Nothing is kept before."""
    page = browser.new_page()
    weights: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: weights.append(event["encodedDataLength"]))
    page.goto(url)
    ready = float(page.evaluate(READY))
    assert page.locator("#rows > tr").count() == ROWS
    page.locator("#live").wait_for()
    page.context.close()
    return ready, sum(weights)


def _report(visits: list[tuple[float, float]]) -> None:
    times = sorted(seconds for seconds, _ in visits)
    against_limit("worklist page interactive s", statistics.median(times), SECONDS_LIMIT,
                  note=f"{ROWS} rows, nothing cached, slowest {times[-1]:.2f}")
    against_limit("worklist page transferred KB", max(size for _, size in visits) / 1000, BYTES_LIMIT / 1000, digits=0)


if __name__ == "__main__":
    main()
