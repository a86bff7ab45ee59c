// The live worklist: follows the server, holds a new order back while somebody is at a row, filters and searches in place.

import { onKey } from "./keys.js";
import { follow } from "./live.js";
import { apply, difference, isEngaged, sameOrder, update } from "./rows.js";

const TYPING_MILLISECONDS = 250;
const main = document.getElementById("main");
const list = document.getElementById("live-list");
const title = document.title;
const byId = (id) => document.getElementById(id);
const form = () => byId("filter");

let [asOf, tag, tagged, waiting] = [Number(main.dataset.asOf), "", "", null];
let [lastGood, turn, typing] = [new Date(), 0, 0];

// ---------------------------------------------------------------- what is asked for

const searched = () => form().elements.text.value.trim();

// A filter is asked by its address. A searched text is nobody's business: it goes in a body.
async function ask() {
  const text = searched();
  const address = byId("summary").dataset.list;
  if (text) return fetch("/fragments/worklist", { method: "POST", body: asked() });
  const known = tag && tagged === address ? { "If-None-Match": tag } : {};
  return fetch(address, { headers: { Accept: "text/html", ...known }, cache: "no-store" });
}

function asked() {
  const body = new FormData(form());
  for (const [name, value] of new URLSearchParams(byId("summary").dataset.place)) body.append(name, value);
  return body;
}

async function fragmentOf(answer) {
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const at = Number(answer.headers.get("X-As-Of"));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  [tag, tagged] = [answer.headers.get("ETag") ?? "", fresh.getElementById("summary")?.dataset.list ?? ""];
  return { at, fresh };
}

// ---------------------------------------------------------------- what is shown

function replacePart(id, fresh) {
  const [old, wanted] = [byId(id), fresh.getElementById(id)];
  if (old && wanted) {
    if (old.innerHTML !== wanted.innerHTML && !old.contains(document.activeElement)) old.innerHTML = wanted.innerHTML;
    Object.assign(old.dataset, wanted.dataset);
  } else if (old) old.remove();
  else if (wanted) list.prepend(document.importNode(wanted, true));
}

// Counts in the lists to choose from; never one that is open, nor what is typed.
function renewChoices(fresh) {
  for (const wanted of fresh.getElementById("filter").querySelectorAll("select")) {
    const select = form().elements[wanted.name];
    if (select === document.activeElement || select.innerHTML === wanted.innerHTML) continue;
    select.innerHTML = wanted.innerHTML;
  }
}

function renewAround(fresh) {
  for (const part of ["not-ready", "summary", "pager"]) replacePart(part, fresh);
  renewChoices(fresh);
}

function showWhole(fresh) {
  const [focused, text] = [document.activeElement, searched()];
  const key = list.contains(focused) && (focused.name || focused.id);
  const row = focused?.closest("#rows > tr")?.id;
  list.replaceChildren(...document.importNode(fresh.body, true).childNodes);
  const field = row ? byId(row)?.querySelector(".open") : key && (form().elements[key] ?? byId(key));
  if (field && field.focus) field.focus({ preventScroll: true });
  if (key === "text" || typing) form().elements.text.value = text;
}

function show(fresh) {
  const rows = fresh.getElementById("rows");
  renewAround(fresh);
  if (!rows || !byId("rows")) { hold(null); showWhole(fresh); return; }
  if (sameOrder(rows)) { hold(null); update(rows); return; }
  if (isEngaged()) { update(rows); hold(rows); return; }
  hold(null);
  apply(rows, true);
}

// ---------------------------------------------------------------- what is held back

function hold(rows) {
  waiting = rows;
  byId("held").hidden = !rows;
  const { changes, alarms } = rows ? difference(rows) : { changes: 0, alarms: 0 };
  const told = rows ? [main.dataset.held.replace("{n}", changes)] : [];
  if (alarms) told.push(main.dataset.alarms.replace("{n}", alarms));
  byId("held").classList.toggle("tone-alarm", alarms > 0);
  if (byId("held-text").textContent !== told.join(" · ")) byId("held-text").textContent = told.join(" · ");
  document.title = rows ? `(${changes}) ${title}` : title;
}

function release() {
  const rows = waiting;
  if (!rows || !byId("rows")) return;
  hold(null);
  apply(rows, true);
}

function releaseLater() {
  setTimeout(() => { if (waiting && !isEngaged()) release(); }, 250);
}

// ---------------------------------------------------------------- filter and search

// Another filter is another list: it is shown at once, with an address of its own where it holds no text.
async function choose(extra = []) {
  const mine = ++turn;
  const body = new FormData(form());
  for (const [name, value] of extra) body.append(name, value);
  const { at, fresh } = await fragmentOf(await fetch("/fragments/worklist", { method: "POST", body }));
  if (mine !== turn) return;
  turn += 1; // what was asked for meanwhile is about the list before
  asOf = at;
  hold(null);
  showWhole(fresh);
  const address = byId("summary").dataset.list.replace("/fragments/worklist", "/");
  history.replaceState({ text: searched() }, "", address);
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.getAttribute("href") === address && !searched()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function tried(action) {
  action.catch(() => stale(true));
}

list.addEventListener("input", (event) => {
  if (event.target.name !== "text") return;
  clearTimeout(typing);
  typing = setTimeout(() => { typing = 0; tried(choose()); }, TYPING_MILLISECONDS);
});
list.addEventListener("change", (event) => {
  if (event.target.closest("#filter") && event.target.name !== "text") tried(choose());
});
list.addEventListener("submit", (event) => {
  if (event.target.id !== "filter") return;
  event.preventDefault();
  clearTimeout(typing);
  typing = 0;
  const by = event.submitter;
  tried(choose(by?.name ? [[by.name, by.value]] : []));
});
byId("save-view").addEventListener("formdata", (event) => {
  const name = event.formData.get("name");
  for (const key of [...event.formData.keys()]) event.formData.delete(key);
  for (const [key, value] of new FormData(form())) if (key !== "text" && value) event.formData.append(key, value);
  event.formData.set("name", name);
});

// ---------------------------------------------------------------- live

function stale(broken) {
  const banner = byId("stale");
  main.classList.toggle("is-stale", broken);
  banner.hidden = !broken;
  const text = broken ? main.dataset.stale.replace("{time}", lastGood.toLocaleTimeString()) : "";
  if (banner.textContent !== text) banner.textContent = text;
  byId("live").hidden = broken;
}

async function refresh() {
  const mine = turn;
  const answer = await ask();
  if (answer.status === 304) return;
  const { at, fresh } = await fragmentOf(answer);
  if (mine !== turn || at < asOf) return; // meanwhile another list was chosen, or a newer one came
  asOf = at;
  show(fresh);
}

// ---------------------------------------------------------------- keys

function move(step) {
  const links = [...document.querySelectorAll("#rows .open")];
  if (!links.length) return;
  const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next].focus({ preventScroll: true });
  links[next].closest("tr").scrollIntoView({ block: "nearest" });
}

function search() {
  const field = form().elements.text;
  field.focus();
  field.select();
}

onKey("j", () => move(1));
onKey("k", () => move(-1));
onKey("ArrowDown", () => (document.activeElement?.closest("#rows") ? move(1) : false));
onKey("ArrowUp", () => (document.activeElement?.closest("#rows") ? move(-1) : false));
onKey("/", search);
onKey(".", () => (waiting ? release() : false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) document.activeElement?.blur();
});

byId("held-show").addEventListener("click", release);
list.addEventListener("pointerleave", releaseLater);
list.addEventListener("pointerover", (event) => { if (!event.target.closest("#rows")) releaseLater(); });
list.addEventListener("focusout", releaseLater);
window.addEventListener("blur", releaseLater);

main.classList.add("has-script");
performance.mark("interactive");
stale(false);
if (history.state?.text && !searched()) {
  form().elements.text.value = history.state.text;
  tried(choose());
}
follow(refresh, (worked) => { if (worked) lastGood = new Date(); stale(!worked); });
