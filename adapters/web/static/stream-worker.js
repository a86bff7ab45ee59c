// One stream for all pages of this browser: it opens few connections to one server, and pages are to leave some free.

import { openStream } from "./stream.js";

const pages = new Set();
let up = null;

function tell(message) {
  if ("up" in message) up = message.up;
  for (const page of pages) page.postMessage(message);
}

self.addEventListener("connect", (event) => {
  const page = event.ports[0];
  page.addEventListener("message", () => pages.delete(page));
  page.start();
  pages.add(page);
  if (up === null && pages.size === 1) openStream(tell);
  else if (up !== null) page.postMessage({ up });
});
