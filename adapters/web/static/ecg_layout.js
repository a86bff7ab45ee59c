// Where each lead's piece of paper lies, in millimetres from the sheet's corner. Pure.

export const STANDARD = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
export const PAGE_SECONDS = 10;
const COLUMN_SECONDS = PAGE_SECONDS / 4;
const ROW = { "3x4": { 5: 20, 10: 30, 20: 50 }, rows: { 5: 13, 10: 20, 20: 36 } };
const MARGIN = 2;
const TOP = 4; // tall R waves reach over the first row

// The calibration pulse, 1 mV for 200 ms, stands left of the traces.
export const pulseWidth = (speed) => 0.2 * speed;
const traceLeft = (speed) => pulseWidth(speed) + 3;

export function canBeColumns(leads) {
  return leads.filter((lead) => STANDARD.includes(lead)).length >= 6;
}

// `start`: seconds into the recording. Strips: lead, row, left (mm), start and seconds; a rhythm strip is lead II's, or the first's.
export function layout(kind, leads, start, speed, gain) {
  const columns = kind === "3x4" && canBeColumns(leads);
  const strips = columns ? [...inColumns(start, speed), rhythm(leads, start, speed)] : inRows(leads, start, speed);
  const row = ROW[columns ? "3x4" : "rows"][gain];
  const rows = 1 + Math.max(...strips.map((strip) => strip.row));
  return { strips, row, rows, width: traceLeft(speed) + PAGE_SECONDS * speed + MARGIN, height: rows * row + 2 * TOP, top: TOP, columns };
}

function inColumns(start, speed) {
  return STANDARD.map((lead, i) => {
    const column = Math.floor(i / 3);
    return { lead, row: i % 3, left: traceLeft(speed) + column * COLUMN_SECONDS * speed, start: start + column * COLUMN_SECONDS, seconds: COLUMN_SECONDS };
  });
}

function rhythm(leads, start, speed) {
  return { lead: leads.includes("II") ? "II" : leads[0], row: 3, left: traceLeft(speed), start, seconds: PAGE_SECONDS };
}

function inRows(leads, start, speed) {
  return leads.map((lead, row) => ({ lead, row, left: traceLeft(speed), start, seconds: PAGE_SECONDS }));
}

// A path of (mm right, mm down) through millivolts, broken where nothing was recorded. Of many samples in a tenth of a
// millimetre the lowest and the highest are drawn.
export function tracePath(values, rate, strip, { speed, gain, middle, base }) {
  const step = Math.max(1, Math.floor(rate / speed / 10));
  let [path, pen] = ["", "M"];
  const point = (i, value) => {
    path += `${pen}${(strip.left + i / rate * speed).toFixed(2)} ${(middle - (value - base) * gain).toFixed(2)}`;
    pen = "L";
  };
  for (let i = 0; i < values.length; i += step) {
    let [low, high, lowAt, highAt] = [Infinity, -Infinity, i, i];
    for (let j = i; j < Math.min(i + step, values.length); j++) {
      if (values[j] < low) [low, lowAt] = [values[j], j];
      if (values[j] > high) [high, highAt] = [values[j], j];
    }
    if (low === Infinity) { pen = "M"; continue; }
    if (lowAt === highAt) point(lowAt, low);
    else if (lowAt < highAt) { point(lowAt, low); point(highAt, high); } else { point(highAt, high); point(lowAt, low); }
  }
  return path;
}

export function median(values) {
  const known = Float32Array.from(values.filter((value) => !Number.isNaN(value))).sort();
  return known.length ? known[known.length >> 1] : 0;
}
