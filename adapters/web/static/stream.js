// The server's notices of a change. `tell` gets {up: boolean} when the stream opens or breaks, {change: text} on a notice.

const SILENCE_MILLISECONDS = 45_000;
const AGAIN_MILLISECONDS = 5_000;

export function openStream(tell) {
  const source = new EventSource("/events");
  let timer = 0;
  const again = () => { clearTimeout(timer); source.close(); tell({ up: false }); setTimeout(() => openStream(tell), AGAIN_MILLISECONDS); };
  const heard = () => { clearTimeout(timer); timer = setTimeout(again, SILENCE_MILLISECONDS); };
  source.addEventListener("open", () => { heard(); tell({ up: true }); });
  source.addEventListener("alive", heard);
  source.addEventListener("change", (event) => { heard(); tell({ change: event.data }); });
  source.addEventListener("error", again);
}
