// Samples as adapters/web/pixel_codec.py tells them: differences along each row, high bytes of all, then low bytes.

export function decode(buffer, columns) {
  const bytes = new Uint8Array(buffer);
  const count = bytes.length >> 1;
  const values = new Int16Array(count);
  let last = 0;
  for (let i = 0; i < count; i++) {
    if (i % columns === 0) last = 0;
    const told = (bytes[i] << 8) | bytes[count + i];
    last += (told >> 1) ^ -(told & 1);
    values[i] = last;
    last = values[i];
  }
  return values;
}

// Answers are kept by address: the few asked for last.
export class Kept {
  constructor(most) {
    this.most = most;
    this.known = new Map();
  }

  get(key, make) {
    const found = this.known.get(key);
    if (found) {
      this.known.delete(key);
      this.known.set(key, found);
      return found;
    }
    const made = make();
    this.known.set(key, made);
    made.catch(() => this.known.delete(key));
    if (this.known.size > this.most) this.known.delete(this.known.keys().next().value);
    return made;
  }
}

// The sentence of a refusal, where the server tells one.
export async function ask(address) {
  const answer = await fetch(address);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.detail ?? `${answer.status}.`);
}
