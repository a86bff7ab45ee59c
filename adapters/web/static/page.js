// What every page has: its keys, their help, the way back, and the refresh of a page that asks for it. Without it all
// still works.

import { follow } from "./live.js";
import { onKey, openHelp, prepareHelp } from "./keys.js";

const PAUSE_MILLISECONDS = 2_000;
const main = document.getElementById("main");

// ---------------------------------------------------------------- refresh

const partsOf = (page) => [...page.querySelectorAll("[id]:is(section, .state)")];

async function refresh() {
  const answer = await fetch(main.dataset.refresh, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  for (const wanted of fresh ? partsOf(fresh) : []) renew(document.getElementById(wanted.id), wanted);
}

// Only what changed, and never a form that is being filled in.
function renew(part, wanted) {
  if (!part || part.innerHTML === wanted.innerHTML || isBusy(part)) return;
  const [focused, scrolled] = [document.activeElement?.id, part.querySelector(".scroll")?.scrollLeft];
  part.innerHTML = wanted.innerHTML;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (scrolled) part.querySelector(".scroll")?.scrollTo(scrolled, 0);
}

function isBusy(part) {
  return part.contains(document.activeElement?.closest("input, select, textarea") ?? null)
    || [...part.querySelectorAll("input[type=file]")].some((input) => input.files.length);
}

// ---------------------------------------------------------------- the way back

// Whoever came from the list goes back to it as it was: filtered, searched, and at the same place.
document.addEventListener("click", (event) => {
  const back = event.target.closest("#back");
  if (!back || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const from = document.referrer ? new URL(document.referrer) : null;
  if (from?.origin !== location.origin || from.pathname !== back.pathname || history.length < 2) return;
  event.preventDefault();
  history.back();
});

// ---------------------------------------------------------------- start

prepareHelp();
onKey("?", openHelp);
onKey("u", () => document.getElementById("back")?.click());
if (main.dataset.refresh) {
  follow(refresh, (worked) => { document.getElementById("live").hidden = !worked; }, PAUSE_MILLISECONDS);
}
