// A caliper on the sheet: two corners that the mouse, a finger or the arrow keys move; milliseconds, rate and millivolts.

import { number, word } from "./words.js";

const STEP = 0.1; // mm, and ten times as far with Shift

export class Calipers {
  // `sheet()`: what the paper is now ({ perMm, speed, gain, width, height }); `told` hears the measurement.
  constructor(holder, sheet, told) {
    Object.assign(this, { holder, sheet, told });
    this.corners = null;
    this.box = document.createElement("div");
    this.box.className = "caliper-box";
    this.handles = ["ecg.corner_from", "ecg.corner_to"].map((name, i) => this.handle(name, i));
    holder.append(this.box, ...this.handles);
    holder.addEventListener("pointerdown", (event) => this.begin(event));
    this.draw();
  }

  handle(name, i) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "caliper-corner";
    button.dataset.name = name;
    button.addEventListener("keydown", (event) => this.key(event, i));
    button.addEventListener("pointerdown", (event) => this.hold(event, i));
    return button;
  }

  // In the middle of what is seen: 400 ms wide at 25 mm/s, 1 mV high at 10 mm/mV.
  set(middle) {
    const { width, height } = this.sheet();
    const [x, y] = [Math.min(Math.max(middle, 6), width - 6), height / 2];
    this.corners = [[x - 5, y + 5], [x + 5, y - 5]];
    this.draw();
    this.handles[0].focus({ preventScroll: true });
  }

  clear() {
    this.corners = null;
    this.draw();
  }

  begin(event) {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.target.closest("button")) return;
    const at = this.at(event);
    this.corners = [at, at];
    this.draw();
    this.hold(event, 1);
  }

  hold(event, i) {
    event.preventDefault();
    const target = this.handles[i];
    target.setPointerCapture(event.pointerId);
    target.focus({ preventScroll: true });
    const move = (moved) => { this.corners[i] = this.at(moved); this.draw(); };
    const end = () => {
      target.removeEventListener("pointermove", move);
      if (this.corners && Math.hypot(...[0, 1].map((axis) => this.corners[0][axis] - this.corners[1][axis])) < 0.5) this.clear();
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("lostpointercapture", end, { once: true });
  }

  key(event, i) {
    const step = (event.shiftKey ? 10 : 1) * STEP;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!by || !this.corners) return;
    event.preventDefault();
    this.corners[i] = this.inside([this.corners[i][0] + by[0], this.corners[i][1] + by[1]]);
    this.draw();
  }

  at(event) {
    const { perMm } = this.sheet();
    const edge = this.holder.getBoundingClientRect();
    return this.inside([(event.clientX - edge.left) / perMm, (event.clientY - edge.top) / perMm]);
  }

  inside([x, y]) {
    const { width, height } = this.sheet();
    return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  }

  measured() {
    const { speed, gain } = this.sheet();
    const [[x1, y1], [x2, y2]] = this.corners;
    return { ms: Math.abs(x2 - x1) / speed * 1000, mv: (Math.max(y1, y2) - Math.min(y1, y2)) / gain };
  }

  draw() {
    const on = Boolean(this.corners);
    for (const element of [this.box, ...this.handles]) element.hidden = !on;
    if (!on) { this.told(null); return; }
    const { perMm } = this.sheet();
    const [[x1, y1], [x2, y2]] = this.corners;
    Object.assign(this.box.style, {
      left: `${Math.min(x1, x2) * perMm}px`, top: `${Math.min(y1, y2) * perMm}px`,
      width: `${Math.abs(x2 - x1) * perMm}px`, height: `${Math.abs(y2 - y1) * perMm}px` });
    const text = this.text();
    this.handles.forEach((button, i) => {
      Object.assign(button.style, { left: `${this.corners[i][0] * perMm}px`, top: `${this.corners[i][1] * perMm}px` });
      button.setAttribute("aria-label", `${word(button.dataset.name)}: ${text}`);
    });
    this.told(text);
  }

  text() {
    const { ms, mv } = this.measured();
    const parts = [word("ecg.measured", { ms: number(ms) })];
    if (ms >= 100) parts.push(word("ecg.rate", { bpm: number(60_000 / ms) }));
    return [...parts, word("ecg.voltage", { mv: number(mv, 2) })].join(" · ");
  }
}
