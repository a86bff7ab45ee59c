// Single keys, by letter in a Latin layout and by place on the keyboard in any other, so that Cyrillic works too.

const actions = new Map();

export function onKey(key, action) {
  actions.set(key, action);
}

// A Cyrillic layout has "." and "," where "/" and "?" are.
function nameOf(event) {
  if (event.code === "Slash" && [".", ","].includes(event.key)) return event.shiftKey ? "?" : "/";
  if (event.key.length === 1 && event.key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code)) {
    return event.code.slice(3).toLowerCase();
  }
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

function isTyping(target) {
  return Boolean(target.closest?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]"));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const action = actions.get(nameOf(event));
  if (action && action(event) !== false) event.preventDefault();
});

export function openHelp() {
  document.getElementById("help")?.showModal();
}

export function prepareHelp() {
  const [dialog, button] = [document.getElementById("help"), document.getElementById("help-open")];
  if (!dialog || !button) return;
  button.hidden = false;
  button.addEventListener("click", openHelp);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
