// Puts a fresh list in the place of the one shown. Rows under the pointer or the focus stay where they are: a new order
// waits then until it is asked for, or until pointer and focus have left.

const hovers = matchMedia("(hover: hover)");

const body = () => document.getElementById("rows");
const idsOf = (rows) => [...rows.children].map((row) => row.id);

// Somebody is about to press a row, or reads one with the keyboard, or marks text to copy it.
export function isEngaged() {
  const rows = body();
  if (!rows) return false;
  const selected = getSelection();
  return (hovers.matches && rows.matches(":hover"))
    || (document.hasFocus() && rows.contains(document.activeElement))
    || Boolean(selected && !selected.isCollapsed && rows.contains(selected.anchorNode));
}

function updateRow(row, wanted) {
  if (row.outerHTML === wanted.outerHTML) return;
  row.className = wanted.className;
  [...wanted.cells].forEach((cell, place) => {
    const old = row.cells[place];
    if (old.innerHTML !== cell.innerHTML) old.innerHTML = cell.innerHTML;
    if (old.title !== cell.title) old.title = cell.title;
  });
}

// Rows keep their element, so that focus, selection and tooltips survive.
function updateKnown(current, fresh) {
  const known = new Map([...current.children].map((row) => [row.id, row]));
  for (const wanted of fresh.children) if (known.has(wanted.id)) updateRow(known.get(wanted.id), wanted);
}

function reorder(current, fresh, marked) {
  const known = new Map([...current.children].map((row) => [row.id, row]));
  [...fresh.children].forEach((wanted, place) => {
    let row = known.get(wanted.id);
    known.delete(wanted.id);
    if (!row) {
      row = document.importNode(wanted, true);
      if (marked) row.classList.add("is-new");
    }
    if (current.children[place] !== row) current.insertBefore(row, current.children[place] ?? null);
  });
  known.forEach((row) => row.remove());
}

// The row the reader is at: the focused one, else the first that is not above the top of the window.
function anchorRow() {
  const focused = document.activeElement?.closest?.("#rows > tr");
  if (focused) return focused;
  if (window.scrollY === 0) return null;
  return [...document.querySelectorAll("#rows > tr")].find((row) => row.getBoundingClientRect().top >= 0) ?? null;
}

export function keepPlace(change) {
  const focusedId = document.activeElement?.closest?.("#rows > tr")?.id;
  const anchor = anchorRow();
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  const lost = focusedId && document.activeElement?.closest?.("#rows > tr")?.id !== focusedId;
  if (lost) document.querySelector(`#${CSS.escape(focusedId)} .open`)?.focus({ preventScroll: true });
}

// How many rows come, go or move, and how many pathologies are among those that come: for the notice.
export function difference(fresh) {
  const [shown, wanted] = [idsOf(body()), idsOf(fresh)];
  const [there, coming] = [new Set(shown), new Set(wanted)];
  const arrived = [...fresh.children].filter((row) => !there.has(row.id));
  const stay = wanted.filter((id) => there.has(id));
  const before = shown.filter((id) => coming.has(id));
  const moved = before.length - longestInOrder(stay.map((id) => before.indexOf(id)));
  const gone = shown.length - before.length;
  return { changes: Math.max(arrived.length, gone) + moved,
    alarms: arrived.filter((row) => row.classList.contains("tone-alarm")).length };
}

// Rows that need not move: the longest run of places that only grow.
function longestInOrder(places) {
  const ends = [];
  for (const place of places) {
    const at = ends.findIndex((end) => end >= place);
    if (at < 0) ends.push(place); else ends[at] = place;
  }
  return ends.length;
}

export function sameOrder(fresh) {
  return idsOf(body()).join() === idsOf(fresh).join();
}

export function update(fresh) {
  keepPlace(() => updateKnown(body(), fresh));
}

export function apply(fresh, marked) {
  keepPlace(() => { updateKnown(body(), fresh); reorder(body(), fresh, marked); });
}
