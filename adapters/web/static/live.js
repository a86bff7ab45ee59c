// Calls `refresh` whenever something changed at the server: at once while the stream is up, by asking while it is not.

import { openStream } from "./stream.js";

const POLL_MILLISECONDS = 3_000;
const CALM_MILLISECONDS = 30_000; // waiting times grow without any change
const SPREAD_MILLISECONDS = 300; // many pages hear of a change at once

function subscribe(tell) {
  if (!window.SharedWorker) return openStream(tell);
  const worker = new SharedWorker("/static/stream-worker.js", { name: "changes", type: "module" });
  worker.addEventListener("error", () => openStream(tell));
  worker.port.addEventListener("message", ({ data }) => tell(data));
  worker.port.start();
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// `refresh` returns a promise; one that fails is asked again. `told` hears whether the last one worked. Between two
// refreshes at least `pause` milliseconds pass.
export function follow(refresh, told = () => {}, pause = 0) {
  let [running, wanted, timer, up, last] = [false, false, 0, false, -pause];

  async function run() {
    if (document.hidden || running) { wanted = true; return; }
    [running, wanted, last] = [true, false, performance.now()];
    let worked = true;
    try { await refresh(); } catch { worked = false; }
    running = false;
    told(worked);
    if (wanted) soon(); else plan(worked && up ? CALM_MILLISECONDS : POLL_MILLISECONDS);
  }

  function plan(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  }

  const soon = () => plan(Math.max(last + pause - performance.now(), 0) + Math.random() * SPREAD_MILLISECONDS);
  plan(POLL_MILLISECONDS);
  subscribe((message) => {
    if ("up" in message) up = message.up;
    if (up || "change" in message) { wanted = true; if (!running) soon(); } else plan(POLL_MILLISECONDS);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  return soon;
}
