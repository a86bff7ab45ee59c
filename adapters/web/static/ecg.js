// The ECG on the standard grid, in millimetres that are millimetres; long recordings are fetched piece by piece.

import { Calipers } from "./calipers.js";
import { canBeColumns, layout, median, PAGE_SECONDS, pulseWidth, tracePath } from "./ecg_layout.js";
import { ask, decode, Kept } from "./samples.js";
import { number, word } from "./words.js";

const PX_PER_MM = 96 / 25.4; // of CSS; screens differ, so it can be set
const SCALE = "px-per-mm";
const MISSING = -32768;
const WHOLE_SECONDS = 60; // shorter recordings are fetched at once
const PIECE_SECONDS = 30;
const ALL = "all";
const SVG = "http://www.w3.org/2000/svg";

export class EcgViewer {
  constructor(section) {
    this.section = section;
    this.part = (selector) => section.querySelector(selector);
    this.pieces = new Kept(12);
    this.state = { layout: "3x4", speed: 25, gain: 10, start: 0, label: ALL, opacity: 0.6, perMm: storedScale() };
    this.message = this.part(".message");
  }

  async start() {
    this.message.textContent = word("viewer.loading");
    try {
      this.list = await (await ask(this.section.dataset.url)).json();
      await this.samplesOf(0, 1);
    } catch (error) { this.message.textContent = word("ecg.failed", { reason: error.message }); return; }
    this.message.textContent = "";
    this.seconds = this.list.samples / this.list.rate;
    this.fill();
    this.listen();
    await this.draw();
    this.section.dataset.ready = "yes";
  }

  // ---------------------------------------------------------------- what there is to choose

  fill() {
    for (const element of this.section.querySelectorAll(".tools, #sheet-scroll, .hint")) element.hidden = false;
    this.part(".fallback")?.setAttribute("hidden", "");
    this.holder = document.createElement("div");
    this.holder.className = "sheet-holder";
    this.part("#sheet").before(this.holder);
    this.holder.append(this.part("#sheet"));
    this.calipers = new Calipers(this.holder, () => this.paper(), (text) => this.tellMeasured(text));
    if (!canBeColumns(this.list.leads)) this.state.layout = "rows";
    for (const button of this.section.querySelectorAll(".layout")) {
      button.hidden = button.dataset.layout === "3x4" && !canBeColumns(this.list.leads);
      if (button.dataset.layout === "rows") button.textContent = `${this.list.leads.length} × 1`;
    }
    this.fillShades();
    const long = this.seconds > PAGE_SECONDS + 0.05;
    this.part("#time-scrub").hidden = !long;
    this.part("#time").max = Math.max(0, Math.ceil(this.seconds - PAGE_SECONDS));
    this.part("#scale").value = this.state.perMm;
    this.markFindings();
  }

  fillShades() {
    const displays = new Map([...this.list.shades, ...(this.list.evidence?.labels ?? [])].map((each) => [each.label, each.display]));
    const select = this.part("#shade");
    if (displays.size > 1) select.add(new Option(word("viewer.all"), ALL));
    for (const [label, display] of displays) select.add(new Option(display, label));
    select.add(new Option(word("viewer.none"), ""));
    this.state.label = displays.size > 1 ? ALL : [...displays.keys()][0] ?? "";
    select.value = this.state.label;
    for (const tool of this.section.querySelectorAll(".shade-tool")) tool.hidden = !displays.size;
  }

  markFindings() {
    const told = new Set([...this.list.shades, ...(this.list.evidence?.labels ?? [])].map((each) => each.label));
    for (const button of document.querySelectorAll(".findings .where")) if (told.has(button.dataset.label)) button.hidden = false;
  }

  showFinding(label) {
    if (![...this.part("#shade").options].some((option) => option.value === label)) return;
    this.part("#shade").value = this.state.label = label;
    this.draw();
    this.section.scrollIntoView({ block: "nearest" });
  }

  // ---------------------------------------------------------------- samples

  // Millivolts of every lead from `start`, for `seconds`: { lead: Float32Array }, NaN where nothing was recorded.
  async samplesOf(start, seconds) {
    const { rate, samples, leads } = this.list;
    const size = samples / rate <= WHOLE_SECONDS ? samples : Math.round(PIECE_SECONDS * rate);
    const [first, last] = [Math.max(0, Math.round(start * rate)), Math.min(samples, Math.round((start + seconds) * rate))];
    const rows = Object.fromEntries(leads.map((lead) => [lead, new Float32Array(Math.max(0, last - first)).fill(NaN)]));
    for (let piece = Math.floor(first / size); piece * size < last; piece++) {
      const [values, width] = await this.piece(piece * size, Math.min(size, samples - piece * size));
      const [from, to] = [Math.max(first, piece * size), Math.min(last, piece * size + width)];
      leads.forEach((lead, row) => {
        for (let i = from; i < to; i++) {
          const value = values[row * width + i - piece * size];
          if (value !== MISSING) rows[lead][i - first] = value / 1000;
        }
      });
    }
    return rows;
  }

  piece(first, count) {
    const address = `${this.section.dataset.url}/${this.list.version}/${first}/${count}`;
    return this.pieces.get(address, async () => [decode(await (await ask(address)).arrayBuffer(), count), count]);
  }

  // ---------------------------------------------------------------- drawing

  paper() {
    const { layout: kind, speed, gain, start, perMm } = this.state;
    return { ...layout(kind, this.list.leads, start, speed, gain), speed, gain, perMm };
  }

  async draw() {
    const paper = this.paper();
    const wanted = JSON.stringify(this.state);
    this.wanted = wanted;
    try {
      const rows = await this.samplesOf(this.state.start, PAGE_SECONDS);
      if (this.wanted !== wanted) return;
      this.drawSheet(paper, rows);
    } catch (error) { this.message.textContent = word("ecg.failed", { reason: error.message }); }
    this.calipers.draw();
    this.tellTime();
  }

  drawSheet(paper, rows) {
    const svg = this.part("#sheet");
    svg.setAttribute("viewBox", `0 0 ${paper.width} ${paper.height}`);
    svg.setAttribute("width", paper.width * paper.perMm);
    svg.setAttribute("height", paper.height * paper.perMm);
    svg.replaceChildren(grid(paper));
    for (const strip of paper.strips) this.drawStrip(svg, paper, strip, rows);
    for (let row = 0; row < paper.rows; row++) svg.append(pulse(paper, row));
    const head = word("ecg.head", { speed: paper.speed, gain: paper.gain, rate: number(this.list.rate) });
    svg.append(text(paper.width - 2, paper.height - 1.5, head, { class: "foot", "text-anchor": "end" }));
    this.section.dataset.paper = `${paper.columns ? "3x4" : "rows"} ${paper.speed} ${paper.gain}`;
  }

  drawStrip(svg, paper, strip, rows) {
    const { rate } = this.list;
    const from = Math.round((strip.start - this.state.start) * rate);
    const values = rows[strip.lead]?.subarray(from, from + Math.round(strip.seconds * rate)) ?? new Float32Array(0);
    const middle = paper.top + (strip.row + 0.5) * paper.row;
    for (const shade of this.shadesOf(strip, paper)) svg.append(shade);
    svg.append(draw("path", { class: "trace", d: tracePath(values, rate, strip, { ...paper, middle, base: median(values) }), "data-lead": strip.lead }));
    if (strip.start > this.state.start) svg.append(draw("path", { class: "tick", d: `M${strip.left} ${middle - 3}v6` }));
    const there = values.some((value) => !Number.isNaN(value));
    svg.append(text(strip.left + 1, paper.top + strip.row * paper.row + 4.2, there ? strip.lead : word("ecg.no_lead", { lead: strip.lead }), { class: there ? "lead" : "lead absent" }));
  }

  // Rectangles behind a strip: whole leads or spans that a finding points to, and steps of a map by their strength.
  *shadesOf(strip, paper) {
    const { label, opacity } = this.state;
    const end = strip.start + strip.seconds;
    const rectangle = (from, to, strength) => draw("rect", {
      class: "shade", x: strip.left + (Math.max(from, strip.start) - strip.start) * paper.speed, y: paper.top + strip.row * paper.row + 0.5,
      width: (Math.min(to, end) - Math.max(from, strip.start)) * paper.speed, height: paper.row - 1, opacity: strength * opacity });
    const map = this.list.evidence;
    const mapped = new Set();
    for (const [l, values] of (map?.values ?? []).entries()) {
      const row = map.leads.indexOf(strip.lead);
      if ((label !== ALL && map.labels[l].label !== label) || row < 0) continue;
      mapped.add(map.labels[l].label);
      const first = Math.max(0, Math.floor(strip.start / map.step));
      for (let step = first; step < Math.min(values[row].length, Math.ceil(end / map.step)); step++) {
        if (values[row][step] > 12) yield rectangle(step * map.step, (step + 1) * map.step, values[row][step] / 255);
      }
    }
    for (const shade of this.list.shades) {
      if (shade.lead !== strip.lead || (label !== ALL && shade.label !== label) || mapped.has(shade.label)) continue;
      const [from, to] = [shade.start ?? 0, shade.end ?? this.seconds];
      if (from < end && to > strip.start) yield rectangle(from, to, 0.25);
    }
  }

  tellTime() {
    const [from, to] = [this.state.start, Math.min(this.seconds, this.state.start + PAGE_SECONDS)];
    const told = word("ecg.at", { from: number(from), to: number(to), whole: number(this.seconds) });
    this.part("#at").textContent = told;
    this.part("#time").value = from;
    this.part("#time").setAttribute("aria-valuetext", told);
  }

  tellMeasured(told) {
    const element = this.part("#measured");
    element.textContent = told ?? "";
    element.hidden = !told;
    this.part("#caliper-off").hidden = !told;
  }

  // ---------------------------------------------------------------- hands

  listen() {
    const on = (selector, event, action) => this.part(selector).addEventListener(event, action);
    const change = (values) => { Object.assign(this.state, values); return this.draw(); };
    for (const button of this.section.querySelectorAll(".layout")) button.addEventListener("click", () => this.chooseLayout(button));
    on("#speed", "change", (event) => { this.calipers.clear(); change({ speed: Number(event.target.value) }); });
    on("#gain", "change", (event) => { this.calipers.clear(); change({ gain: Number(event.target.value) }); });
    on("#shade", "change", (event) => change({ label: event.target.value }));
    on("#shade-opacity", "input", (event) => change({ opacity: event.target.value / 100 }));
    on("#caliper", "click", () => this.setCaliper());
    on("#caliper-off", "click", () => { this.calipers.clear(); this.part("#caliper").focus(); });
    on("#time", "input", (event) => this.goTo(Number(event.target.value)));
    on("#earlier", "click", () => this.goTo(this.state.start - PAGE_SECONDS));
    on("#later", "click", () => this.goTo(this.state.start + PAGE_SECONDS));
    on("#scale", "input", (event) => { this.setScale(Number(event.target.value)); this.draw(); });
    this.setScale(this.state.perMm);
  }

  chooseLayout(chosen) {
    for (const button of this.section.querySelectorAll(".layout")) button.setAttribute("aria-pressed", button === chosen);
    this.calipers.clear();
    this.state.layout = chosen.dataset.layout;
    this.draw();
  }

  goTo(second) {
    this.calipers.clear();
    this.state.start = Math.max(0, Math.min(Math.ceil(this.seconds - PAGE_SECONDS), second));
    this.draw();
  }

  setCaliper() {
    const scroll = this.part("#sheet-scroll");
    this.calipers.set((scroll.scrollLeft + scroll.clientWidth / 2) / this.state.perMm);
  }

  setScale(perMm) {
    this.state.perMm = perMm;
    Object.assign(this.part("#card-outline").style, { width: `${85.6 * perMm}px`, height: `${53.98 * perMm}px` });
    try { localStorage.setItem(SCALE, perMm); } catch { /* a browser without storage forgets it */ }
  }

  shortcut(key) {
    if (!this.calipers) return false;
    if (key === "c") this.setCaliper();
    else if (key === "Escape" && this.calipers.corners) this.calipers.clear();
    else return false;
    return true;
  }
}

function storedScale() {
  try { return Number(localStorage.getItem(SCALE)) || PX_PER_MM; } catch { return PX_PER_MM; }
}

function draw(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function text(x, y, content, attributes) {
  const element = draw("text", { x, y, ...attributes });
  element.textContent = content;
  return element;
}

// Lines of 1 mm and of 5 mm.
function grid({ width, height }) {
  const group = draw("g", { class: "grid" });
  group.append(draw("rect", { class: "ground", width, height }));
  for (const [name, step] of [["fine", 1], ["bold", 5]]) {
    let path = "";
    for (let x = 0; x <= width; x += step) path += `M${x} 0V${height}`;
    for (let y = 0; y <= height; y += step) path += `M0 ${y}H${width}`;
    group.append(draw("path", { class: name, d: path }));
  }
  return group;
}

// 1 mV for 200 ms.
function pulse({ row, top, gain, speed }, at) {
  const base = top + (at + 0.5) * row;
  return draw("path", { class: "trace", d: `M0.7 ${base}h0.8v${-gain}h${pulseWidth(speed)}v${gain}h0.8` });
}
