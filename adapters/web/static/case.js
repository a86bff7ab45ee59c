// The case page: starts its viewers, keeps its other parts current, fetches documents when they are opened.

import { onKey } from "./keys.js";
import { follow } from "./live.js";
import { EcgViewer } from "./ecg.js";
import { ImageViewer } from "./viewer.js";

const main = document.getElementById("main");
let [images, ecg] = [null, null];

function startViewers() {
  const [imageSection, ecgSection] = [document.getElementById("images"), document.getElementById("ecg")];
  images = imageSection ? new ImageViewer(imageSection) : null;
  ecg = ecgSection ? new EcgViewer(ecgSection) : null;
  images?.start();
  ecg?.start();
}

for (const key of ["1", "2", "3", "4", "5", "s", "f", "o"]) onKey(key, () => images?.shortcut(key) ?? false);
for (const key of ["c", "Escape"]) onKey(key, () => ecg?.shortcut(key) ?? false);

main.addEventListener("click", (event) => {
  const button = event.target.closest(".where");
  if (!button) return;
  images?.showFinding(button.dataset.label);
  ecg?.showFinding(button.dataset.label);
});

// ---------------------------------------------------------------- documents

main.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!details.matches?.("details.document") || !details.open || details.dataset.loaded) return;
  details.dataset.loaded = "yes";
  try {
    const answer = await fetch(details.dataset.fragment, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    details.replaceChildren(details.firstElementChild, ...document.importNode(fresh.body, true).childNodes);
  } catch { delete details.dataset.loaded; } // the link to the document's own page is still there
}, true);

// ---------------------------------------------------------------- feedback: the name is remembered in this browser

const NAME = "given-by";

function rememberName() {
  const field = document.getElementById("given-by");
  if (!field) return;
  try {
    field.value ||= localStorage.getItem(NAME) ?? "";
    field.form.addEventListener("submit", () => localStorage.setItem(NAME, field.value.trim()));
  } catch { /* a browser without storage asks again */ }
}

// ---------------------------------------------------------------- what changes while one looks

async function refresh() {
  const answer = await fetch(main.dataset.follow, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  // What was shown while the study was received has become a case of its own, with an address of its own.
  if (answer.redirected) { location.replace(answer.url); return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  if (!fresh) return;
  const otherViews = fresh.dataset.run !== main.dataset.run || fresh.dataset.views !== main.dataset.views;
  for (const part of fresh.querySelectorAll("[data-part]")) {
    if (part.dataset.part !== "views" || otherViews) replacePart(part);
  }
  Object.assign(main.dataset, { run: fresh.dataset.run, views: fresh.dataset.views });
  if (otherViews) startViewers();
  else for (const viewer of [images, ecg]) if (viewer?.list) viewer.markFindings();
}

// What one reads or fills in stays: an open document, a field with the focus in it.
function replacePart(fresh) {
  const old = main.querySelector(`[data-part="${fresh.dataset.part}"]`);
  if (!old) { main.append(document.importNode(fresh, true)); return; }
  if (original.get(old.dataset.part) === fresh.innerHTML) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  if (old.querySelector("details.document[open]")) return;
  original.set(old.dataset.part, fresh.innerHTML);
  old.innerHTML = fresh.innerHTML;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// As the server sent it, before scripts changed it: a comparison with the page itself would always differ.
const original = new Map([...main.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part.innerHTML]));

rememberName();
startViewers();
if (main.dataset.follow) follow(refresh);
