// The viewer of image stacks: slices, window, evidence over the source or beside it; mouse, touch and keyboard alike.

import { evidencePicture, Frame, paint, placed } from "./viewer_paint.js";
import { ask, decode, Kept } from "./samples.js";
import { number, word } from "./words.js";

const AHEAD = 4; // slices that are fetched before they are asked for
const KEPT = 96;
const SWIPE_PIXELS = 9;

export class ImageViewer {
  constructor(section) {
    this.section = section;
    this.base = section.dataset.base;
    this.frames = new Kept(KEPT);
    this.planes = new Kept(KEPT);
    this.state = { stack: 0, slice: 0, window: null, label: -1, opacity: 0.6, beside: false };
    this.part = (selector) => section.querySelector(selector);
    this.message = this.part(".message");
  }

  async start() {
    this.message.textContent = word("viewer.loading");
    try {
      this.list = await (await ask(this.section.dataset.url)).json();
    } catch (error) { return this.failed(error); }
    if (this.list.deleted_at || !this.list.stacks.length) { this.message.textContent = ""; return; }
    this.message.textContent = "";
    this.fill();
    this.listen();
    const key = this.list.key ?? { stack: 0, slice: 0 };
    this.chooseStack(key.stack, key.slice);
    new ResizeObserver(() => this.draw()).observe(this.part("#panes"));
    this.section.dataset.ready = "yes";
  }

  failed(error) { this.message.textContent = word("viewer.failed", { reason: error.message }); }

  get stack() { return this.list.stacks[this.state.stack]; }

  // ---------------------------------------------------------------- what there is to choose

  fill() {
    for (const element of this.section.querySelectorAll(".tools, .panes, .scrub, .hint")) element.hidden = false;
    this.part(".fallback")?.setAttribute("hidden", "");
    const stacks = this.part("#stack");
    this.list.stacks.forEach((stack, i) => stacks.add(new Option(
      [stack.modality, stack.description || word("viewer.image", { n: i + 1 }), `(${stack.positions.length})`].join(" "), i)));
    this.part(".stack-choice").hidden = this.list.stacks.length < 2;
    const labels = this.list.evidence?.labels ?? [];
    const overlay = this.part("#overlay");
    labels.forEach((label, i) => overlay.add(new Option(
      label.present ? label.display : `${label.display} (${word("viewer.not_found")})`, i)));
    overlay.add(new Option(word("viewer.none"), -1));
    this.state.label = labels.findIndex((label) => label.present);
    overlay.value = this.state.label;
    this.shown = Math.max(this.state.label, labels.length ? 0 : -1);
    this.markFindings();
  }

  markFindings() {
    for (const button of document.querySelectorAll(".findings .where")) {
      if (this.placeOf(button.dataset.label)) button.hidden = false;
    }
  }

  // Where a finding is seen best: its region's slice, else the slice where its evidence is strongest.
  placeOf(label) {
    const region = this.list.regions.find((each) => each.label === label);
    if (region) return region;
    const found = this.list.evidence?.labels.find((each) => each.label === label);
    const stack = this.list.stacks.findIndex((each) => each.planes);
    if (!found || stack < 0) return null;
    const peaks = this.list.stacks[stack].planes.map((plane) => (plane < 0 ? 0 : found.peaks[plane]));
    const best = Math.max(...peaks);
    return best > 0 ? { stack, slice: peaks.indexOf(best) } : null;
  }

  showFinding(label) {
    const place = this.placeOf(label);
    if (!place) return;
    const at = this.list.evidence?.labels.findIndex((each) => each.label === label) ?? -1;
    if (at >= 0) this.chooseLabel(at);
    this.chooseStack(place.stack, place.slice);
    this.section.scrollIntoView({ block: "nearest" });
    this.part("#panes").focus({ preventScroll: true });
  }

  chooseStack(at, slice) {
    const changed = at !== this.state.stack || this.state.window === null;
    this.state.stack = at;
    this.part("#stack").value = at;
    const { stack } = this;
    const isCt = stack.modality === "CT" && !stack.colour;
    for (const button of this.section.querySelectorAll(".preset")) {
      button.hidden = stack.colour || (!isCt && button.dataset.preset !== "full");
    }
    for (const id of ["#centre", "#width"]) this.part(id).closest("label").hidden = stack.colour;
    for (const tool of this.section.querySelectorAll(".overlay-tool")) tool.hidden = !stack.planes;
    if (changed) this.state.window = isCt ? this.firstWindow() : stack.window ?? "auto";
    const slider = this.part("#slice");
    [slider.max, slider.disabled] = [stack.positions.length, stack.positions.length < 2];
    this.part("#panes").setAttribute("aria-valuemax", stack.positions.length);
    this.drawPeaks();
    this.chooseSlice(slice);
  }

  // A chest that was read as one is looked at in lung window first; else as the object asks.
  firstWindow() { return this.stack.planes ? [-600, 1500] : this.stack.window ?? [50, 400]; }

  chooseSlice(slice) {
    const last = this.stack.positions.length - 1;
    this.state.slice = Math.min(last, Math.max(0, slice));
    const told = word("viewer.place", { n: this.state.slice + 1, total: last + 1 });
    const panes = this.part("#panes");
    this.part("#slice").value = this.state.slice + 1;
    this.part("#place").textContent = told;
    panes.setAttribute("aria-valuenow", this.state.slice + 1);
    panes.setAttribute("aria-valuetext", told);
    this.show();
  }

  chooseWindow(window) {
    this.state.window = window;
    this.draw();
  }

  chooseLabel(at) {
    this.state.label = at;
    if (at >= 0) this.shown = at;
    this.part("#overlay").value = at;
    this.drawPeaks();
    this.show();
  }

  beside(on) {
    this.state.beside = on;
    this.part("#beside").setAttribute("aria-pressed", on);
    this.part(".pane.source").hidden = !on;
    this.section.classList.toggle("is-beside", on);
    this.draw();
  }

  // ---------------------------------------------------------------- fetching

  frame(stack, slice) {
    const address = `${this.base}/images/${this.list.version}/${stack}/${slice}`;
    return this.frames.get(address, async () => {
      const answer = await ask(address);
      const rescale = (answer.headers.get("X-Rescale") ?? "1 0").split(" ").map(Number);
      const [of, buffer] = [this.list.stacks[stack], await answer.arrayBuffer()];
      return new Frame(of, of.colour ? new Uint8Array(buffer) : decode(buffer, of.columns), rescale);
    });
  }

  async evidence(slice) {
    const plane = this.stack.planes?.[slice] ?? -1;
    if (plane < 0 || this.state.label < 0) return null;
    const address = `${this.base}/evidence/${this.list.version}/${this.state.label}/${plane}`;
    const { rows, columns, form } = this.list.evidence;
    return this.planes.get(address, async () => evidencePicture(
      new Uint8Array(await (await ask(address)).arrayBuffer()), columns, rows, form));
  }

  async show() {
    const { stack, slice, label } = this.state;
    const wanted = `${stack} ${slice} ${label}`;
    this.wanted = wanted;
    try {
      const [frame, evidence] = await Promise.all([this.frame(stack, slice), this.evidence(slice)]);
      if (this.wanted !== wanted) return;
      [this.current, this.over, this.message.textContent] = [frame, evidence, ""];
      this.draw();
      this.section.dataset.slice = slice + 1;
      for (let step = 1; step <= AHEAD; step++) for (const next of [slice + step, slice - step]) {
        if (next >= 0 && next < this.stack.positions.length) this.frame(stack, next).catch(() => {});
      }
    } catch (error) { if (this.wanted === wanted) this.failed(error); }
  }

  // ---------------------------------------------------------------- drawing

  window() {
    if (this.state.window !== "auto") return this.state.window;
    const [low, high] = this.current.range();
    return [(low + high) / 2, high - low];
  }

  draw() {
    if (!this.current) return;
    const window = this.window();
    const boxes = this.state.label < 0 ? [] : this.list.regions.filter((region) => region.stack === this.state.stack
      && region.slice === this.state.slice && region.label === this.list.evidence?.labels[this.state.label]?.label).map((region) => region.box);
    if (this.state.beside) paint(this.part(".pane.source canvas"), { frame: this.current, window });
    paint(this.part(".pane.main canvas"), { frame: this.current, window, evidence: this.over, opacity: this.state.opacity, boxes });
    const label = this.list.evidence?.labels[this.state.label];
    this.part(".pane.main figcaption").textContent = label && this.stack.planes ? label.display : word("viewer.source");
    this.tellWindow(window);
  }

  tellWindow([centre, width]) {
    const [centreInput, widthInput] = [this.part("#centre"), this.part("#width")];
    if (document.activeElement !== centreInput) centreInput.value = Math.round(centre);
    if (document.activeElement !== widthInput) widthInput.value = Math.round(width);
    for (const button of this.section.querySelectorAll(".preset")) {
      const [c, w] = button.dataset.window.split(" ").map(Number);
      const pressed = button.dataset.window ? c === centre && w === width : this.state.window === "auto";
      button.setAttribute("aria-pressed", pressed);
    }
    this.section.dataset.window = `${Math.round(centre)} ${Math.round(width)}`;
  }

  // How strong the chosen evidence is on each slice, over the slider.
  drawPeaks() {
    const svg = this.part("#peaks");
    const [planes, label] = [this.stack.planes, this.list.evidence?.labels[this.state.label]];
    svg.replaceChildren();
    if (!planes || !label) return;
    svg.setAttribute("viewBox", `0 0 ${planes.length} 255`);
    planes.forEach((plane, slice) => {
      const peak = plane < 0 ? 0 : label.peaks[plane];
      if (!peak) return;
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, value] of Object.entries({ x: slice, y: 255 - peak, width: 1.05, height: peak })) bar.setAttribute(name, value);
      svg.append(bar);
    });
  }

  // ---------------------------------------------------------------- hands

  listen() {
    const on = (selector, event, action) => this.part(selector).addEventListener(event, action);
    on("#slice", "input", (event) => this.chooseSlice(Number(event.target.value) - 1));
    on("#stack", "change", (event) => this.chooseStack(Number(event.target.value), 0));
    on("#overlay", "change", (event) => this.chooseLabel(Number(event.target.value)));
    on("#opacity", "input", (event) => { this.state.opacity = event.target.value / 100; this.draw(); });
    on("#beside", "click", () => this.beside(!this.state.beside));
    on("#to-key", "click", () => this.toKey());
    on("#full-screen", "click", () => this.fullScreen());
    for (const button of this.section.querySelectorAll(".preset")) button.addEventListener("click", () => this.preset(button));
    for (const id of ["#centre", "#width"]) on(id, "change", () => this.typed());
    const panes = this.part("#panes");
    panes.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    panes.addEventListener("keydown", (event) => this.key(event));
    this.listenToPointers(panes);
  }

  preset(button) {
    this.chooseWindow(button.dataset.window ? button.dataset.window.split(" ").map(Number) : "auto");
  }

  typed() {
    const [centre, width] = [Number(this.part("#centre").value), Number(this.part("#width").value)];
    if (Number.isFinite(centre) && width >= 1) this.chooseWindow([centre, width]);
  }

  toKey() {
    const key = this.list.key ?? { stack: 0, slice: 0 };
    this.chooseStack(key.stack, key.slice);
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.section.requestFullscreen?.();
  }

  wheel(event) {
    if (event.ctrlKey || this.stack.positions.length < 2) return;
    event.preventDefault();
    this.turned = (this.turned ?? 0) + (event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY);
    const steps = Math.trunc(this.turned);
    if (steps) { this.turned -= steps; this.chooseSlice(this.state.slice - Math.sign(steps) * Math.min(Math.abs(steps), 3)); }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (steps) this.chooseSlice(this.state.slice + steps);
    else if (event.key === "Home") this.toKey();
    else if (event.key === "End") this.chooseSlice(this.stack.positions.length - 1);
    else return;
    event.preventDefault();
  }

  // Keys that work wherever the focus is, but in fields.
  shortcut(key) {
    const preset = /^[1-5]$/.test(key) ? this.section.querySelectorAll(".preset")[Number(key) - 1] : null;
    if (preset) { if (!preset.hidden) this.preset(preset); this.take(); return true; }
    if (key === "s") this.beside(!this.state.beside);
    else if (key === "f") this.fullScreen();
    else if (key === "o") this.chooseLabel(this.state.label < 0 ? this.shown : -1);
    else return false;
    this.take();
    return true;
  }

  // Whoever works by keys turns slices next: the arrow keys are the image's once it has the focus.
  take() { this.part("#panes").focus({ preventScroll: true }); }

  // The mouse changes the window; a finger sideways turns slices, two fingers change the window.
  listenToPointers(panes) {
    const held = new Map();
    const windowing = (event) => event.pointerType === "mouse" || held.size > 1;
    panes.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held.set(event.pointerId, [event.clientX, event.clientY]);
      panes.setPointerCapture(event.pointerId);
      panes.focus({ preventScroll: true });
    });
    panes.addEventListener("pointermove", (event) => {
      this.tellValue(event);
      const from = held.get(event.pointerId);
      if (!from || !this.current) return;
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      if (windowing(event)) {
        held.set(event.pointerId, [event.clientX, event.clientY]);
        if (!this.stack.colour) this.drag(dx, dy);
      } else if (Math.abs(dx) >= SWIPE_PIXELS) {
        held.set(event.pointerId, [event.clientX, event.clientY]);
        this.chooseSlice(this.state.slice + Math.trunc(dx / SWIPE_PIXELS));
      }
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      panes.addEventListener(end, (event) => held.delete(event.pointerId));
    }
  }

  drag(dx, dy) {
    const [centre, width] = this.window();
    const step = Math.max(1, width / 300);
    this.chooseWindow([Math.round(centre - dy * step), Math.max(1, Math.round(width + dx * step))]);
  }

  tellValue(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas || !this.current || this.stack.colour) return;
    const at = placed(this.stack, canvas.clientWidth, canvas.clientHeight);
    const [column, row] = [Math.floor((event.offsetX - at.x) / at.column), Math.floor((event.offsetY - at.y) / at.row)];
    if (column < 0 || row < 0 || column >= this.stack.columns || row >= this.stack.rows) return;
    const position = this.stack.positions[this.state.slice];
    this.part("#readout").textContent = [
      word("viewer.value", { x: column, y: row, value: number(this.current.real(column, row)), unit: this.stack.modality === "CT" ? "HU" : "" }).trim(),
      position === null ? "" : `${number(position, 1)} mm`].filter(Boolean).join(" · ");
  }
}
