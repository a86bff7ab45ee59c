// Keeps the list and an unfinished case current, and moves through the list by keyboard. Without it the page still works.

const POLL_MILLISECONDS = 2500;
const main = document.getElementById("main");

async function fetchPage(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// The row the reader is at: the focused one, else the first that is not above the top of the window.
function anchorRow() {
  const focused = document.activeElement?.closest?.("#rows > tr");
  if (focused) return focused;
  if (window.scrollY === 0) return null;
  return [...document.querySelectorAll("#rows > tr")].find((row) => row.getBoundingClientRect().top >= 0) ?? null;
}

// Rows keep their element while their text stays the same, so focus, selection and tooltips survive a refresh.
function mergeRows(current, fresh) {
  const known = new Map([...current.children].map((row) => [row.id, row]));
  [...fresh.children].forEach((wanted, place) => {
    let row = known.get(wanted.id);
    known.delete(wanted.id);
    if (!row) row = document.importNode(wanted, true);
    else if (row.outerHTML !== wanted.outerHTML) updateRow(row, wanted);
    if (current.children[place] !== row) current.insertBefore(row, current.children[place] ?? null);
  });
  known.forEach((row) => row.remove());
}

function updateRow(row, wanted) {
  row.className = wanted.className;
  [...wanted.cells].forEach((cell, place) => {
    if (row.cells[place].innerHTML !== cell.innerHTML) row.cells[place].innerHTML = cell.innerHTML;
  });
}

function keepPlace(change) {
  const focusedId = document.activeElement?.closest?.("#rows > tr")?.id;
  const anchor = anchorRow();
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  const lost = focusedId && document.activeElement?.closest?.("#rows > tr")?.id !== focusedId;
  if (lost) document.querySelector(`#${CSS.escape(focusedId)} .open`)?.focus({ preventScroll: true });
}

function replacePart(id, fresh, container) {
  const old = document.getElementById(id);
  const wanted = fresh.getElementById(id);
  if (old && wanted) { if (old.innerHTML !== wanted.innerHTML) old.innerHTML = wanted.innerHTML; }
  else if (old) old.remove();
  else if (wanted) container.prepend(document.importNode(wanted, true));
}

function mergeList(fresh) {
  const list = document.getElementById("live-list");
  const [current, wanted] = [document.getElementById("rows"), fresh.getElementById("rows")];
  keepPlace(() => {
    if (!current || !wanted) list.replaceChildren(...document.importNode(fresh.body, true).childNodes);
    else {
      replacePart("summary", fresh, list);
      replacePart("not-ready", fresh, list);
      replacePart("pager", fresh, list);
      mergeRows(current, wanted);
    }
  });
}

function showStale(since) {
  const banner = document.getElementById("stale");
  main.classList.toggle("is-stale", Boolean(since));
  banner.hidden = !since;
  const text = since ? main.dataset.stale.replace("{time}", since.toLocaleTimeString()) : "";
  if (banner.textContent !== text) banner.textContent = text;
  const live = document.getElementById("live");
  if (live) live.hidden = Boolean(since);
}

function every(action) {
  let running = false;
  const tick = async () => {
    if (running || document.hidden) return;
    running = true;
    try { await action(); } finally { running = false; }
  };
  setInterval(tick, POLL_MILLISECONDS);
  document.addEventListener("visibilitychange", tick);
}

function followList() {
  let asOf = new Date();
  showStale(null);
  every(async () => {
    try {
      mergeList(await fetchPage(main.dataset.poll));
      asOf = new Date();
      showStale(null);
    } catch {
      showStale(asOf);
    }
  });
}

function followCase() {
  every(async () => {
    if (!main.dataset.refresh) return;
    let fresh;
    try { fresh = (await fetchPage(main.dataset.refresh)).getElementById("main"); } catch { return; }
    if (!fresh || fresh.innerHTML === main.innerHTML) return;
    const focused = document.activeElement?.id;
    main.innerHTML = fresh.innerHTML;
    if (!fresh.dataset.refresh) delete main.dataset.refresh;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  });
}

function move(step) {
  const links = [...document.querySelectorAll("#rows .open")];
  if (!links.length) return;
  const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next].focus({ preventScroll: true });
  links[next].closest("tr").scrollIntoView({ block: "nearest" });
}

// The keys by place on the keyboard, so that they work in a Cyrillic layout too.
const KEYS = { KeyJ: () => move(1), KeyK: () => move(-1), KeyU: () => document.getElementById("back")?.click() };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const action = KEYS[event.code];
  if (action) { event.preventDefault(); action(); }
});

if (main.dataset.poll) followList();
if (main.dataset.refresh) followCase();
