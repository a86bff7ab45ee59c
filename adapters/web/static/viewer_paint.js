// Stored values to grey, evidence to colour, both on a canvas of the screen's own pixels.

export class Frame {
  constructor(stack, stored, rescale) {
    this.stack = stack;
    this.stored = stored;
    [this.slope, this.intercept] = rescale;
  }

  real(column, row) {
    return this.stored[row * this.stack.columns + column] * this.slope + this.intercept;
  }

  // Real values below which 1 % and 99 % of the picture lie; all of it where these are one.
  range() {
    if (this.limits) return this.limits;
    const sample = Float32Array.from({ length: Math.min(this.stored.length, 20_000) },
      (_, i) => this.stored[Math.floor(i * this.stored.length / Math.min(this.stored.length, 20_000))]).sort();
    const at = (share) => sample[Math.floor(share * (sample.length - 1))] * this.slope + this.intercept;
    let [low, high] = [at(0.01), at(0.99)];
    if (low === high) [low, high] = [at(0), at(1)];
    this.limits = [Math.min(low, high), Math.max(low, high, Math.min(low, high) + 1)];
    return this.limits;
  }

  // PS3.3 C.11.2.1.2.1 (linear exact): black at centre − width / 2, white at centre + width / 2.
  picture([centre, width]) {
    const key = `${centre} ${width}`;
    if (this.painted === key) return this.grey;
    const { rows, columns, inverted, colour } = this.stack;
    this.grey ??= newCanvas(columns, rows);
    const context = this.grey.getContext("2d");
    const image = context.createImageData(columns, rows);
    const out = new Uint32Array(image.data.buffer);
    if (colour) paintColour(this.stored, out);
    else paintGrey(this.stored, out, this.table(centre, width, inverted));
    context.putImageData(image, 0, 0);
    this.painted = key;
    return this.grey;
  }

  table(centre, width, inverted) {
    const table = new Uint32Array(65536);
    const low = centre - width / 2;
    for (let value = -32768; value < 32768; value++) {
      const share = (value * this.slope + this.intercept - low) / width;
      const grey = Math.round(255 * Math.min(1, Math.max(0, inverted ? 1 - share : share)));
      table[value & 0xffff] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    return table;
  }
}

function newCanvas(columns, rows) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  return canvas;
}

function paintGrey(stored, out, table) {
  for (let i = 0; i < out.length; i++) out[i] = table[stored[i] & 0xffff];
}

function paintColour(stored, out) {
  for (let i = 0; i < out.length; i++) {
    out[i] = 0xff000000 | (stored[3 * i + 2] << 16) | (stored[3 * i + 1] << 8) | stored[3 * i];
  }
}

// Heat from amber to red, the stronger the less transparent; a segmentation in one colour with its edge.
export function evidencePicture(values, columns, rows, form) {
  const canvas = newCanvas(columns, rows);
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const out = new Uint32Array(image.data.buffer);
  for (let i = 0; i < out.length; i++) {
    if (form === "mask") { if (values[i] >= 128) out[i] = 0xc0ffd400; continue; }
    const share = values[i] / 255;
    if (share > 0.02) out[i] = (Math.round(255 * Math.min(1, 0.25 + share)) << 24) | (Math.round(190 * (1 - share)) << 8) | 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Where a picture of that size and pixel shape lies on a canvas: as large as it fits, in the middle.
export function placed(stack, width, height) {
  const aspect = stack.spacing ? stack.spacing[0] / stack.spacing[1] : 1;
  const scale = Math.min(width / stack.columns, height / (stack.rows * aspect));
  const [w, h] = [stack.columns * scale, stack.rows * aspect * scale];
  return { x: (width - w) / 2, y: (height - h) / 2, w, h, column: w / stack.columns, row: h / stack.rows };
}

export function paint(canvas, { frame, window, evidence, opacity, boxes }) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  const at = placed(frame.stack, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(frame.picture(window), at.x, at.y, at.w, at.h);
  if (evidence) {
    context.globalAlpha = opacity;
    context.drawImage(evidence, at.x, at.y, at.w, at.h);
    context.globalAlpha = 1;
  }
  for (const box of boxes ?? []) paintBox(context, at, box, ratio);
  paintMarks(context, frame.stack, at, width, height, ratio);
}

function paintBox(context, at, [left, top, right, bottom], ratio) {
  context.strokeStyle = "#ffd24a";
  context.lineWidth = 1.5 * ratio;
  context.strokeRect(at.x + left * at.column, at.y + top * at.row, (right - left + 1) * at.column, (bottom - top + 1) * at.row);
}

// Lengths of the scale's bar, mm: the longest that takes no more than a third of the picture.
const BARS = [50, 20, 10, 5, 2, 1];
const [MILLIMETRES, CENTIMETRES] = document.documentElement.lang === "ru" ? ["мм", "см"] : ["mm", "cm"];

// Sides of the patient at the edges, and the scale.
function paintMarks(context, stack, at, width, height, ratio) {
  context.font = `600 ${13 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  context.fillStyle = "#e8edf2";
  context.shadowColor = "#000";
  context.shadowBlur = 3 * ratio;
  const [left, right, top, bottom] = stack.sides ?? [];
  const edge = 8 * ratio;
  const write = (text, x, y, align, baseline) => { [context.textAlign, context.textBaseline] = [align, baseline]; if (text) context.fillText(text, x, y); };
  write(left, Math.max(at.x, 0) + edge, height / 2, "left", "middle");
  write(right, Math.min(at.x + at.w, width) - edge, height / 2, "right", "middle");
  write(top, width / 2, Math.max(at.y, 0) + edge, "center", "top");
  write(bottom, width / 2, Math.min(at.y + at.h, height) - edge, "center", "bottom");
  if (stack.spacing) {
    const pixels = at.column / stack.spacing[1];
    const bar = BARS.find(length => length * pixels <= at.w / 3) ?? 1;
    const long = bar * pixels;
    const [x, y] = [Math.min(at.x + at.w, width) - edge - long, Math.min(at.y + at.h, height) - edge];
    context.fillRect(x, y, long, 2 * ratio);
    context.font = `${11 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    write(bar < 10 ? `${bar} ${MILLIMETRES}` : `${bar / 10} ${CENTIMETRES}`, x + long / 2, y - 3 * ratio, "center", "bottom");
  }
  context.shadowBlur = 0;
}
