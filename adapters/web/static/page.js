// What every page has: its keys, their help, and the refresh of a page that asks for it. Without it all still works.

import { follow } from "./live.js";
import { onKey, openHelp, prepareHelp } from "./keys.js";

const PAUSE_MILLISECONDS = 2_000;
const main = document.getElementById("main");

async function refresh() {
  if (!main.dataset.refresh || main.querySelector("dialog[open]")) return;
  const answer = await fetch(main.dataset.refresh, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  if (!fresh || fresh.innerHTML === main.innerHTML || isBusy()) return;
  const focused = document.activeElement?.id;
  main.innerHTML = fresh.innerHTML;
  if (!fresh.dataset.refresh) delete main.dataset.refresh;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// A form that is being filled in is not taken away.
function isBusy() {
  const focused = document.activeElement;
  return Boolean(focused?.matches("input, select, textarea") && main.contains(focused))
    || [...main.querySelectorAll("input[type=file]")].some((input) => input.files.length);
}

prepareHelp();
onKey("?", openHelp);
onKey("u", () => document.getElementById("back")?.click());
if (main.dataset.refresh) follow(refresh, undefined, PAUSE_MILLISECONDS);
