// The scans of the page, and what a score looks like. The files of this folder are joined into one script module.

const { scans, colors, calibrations } = JSON.parse(document.getElementById("report-data").textContent);
const LEVELS = 256;

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Decode a scan on first use: hundreds of them may stand in one page. */
function decode(scan) {
  if (!scan.decoded) {
    const positions = new Uint16Array(bytes(scan.positions).buffer);
    const longest = Math.max(...scan.extents) || 1;
    const [a, b, c] = scan.extents.map((extent) => extent / longest);
    const spacing = Math.sqrt((2 * (a * b + b * c + c * a) + 0.01) / scan.shown);
    const center = [a / 2, b / 2, c / 2];
    const radius = Math.hypot(...center);
    scan.decoded = { positions, scores: bytes(scan.scores), count: scan.shown, center, radius, spacing };
    delete scan.positions;
    delete scan.scores;
  }
  return scan.decoded;
}

/** First and last score levels that occur. */
function levelSpan(list) {
  let low = LEVELS - 1;
  let high = 0;
  for (const scan of list) {
    const first = scan.histogram.findIndex((count) => count > 0);
    const last = LEVELS - 1 - [...scan.histogram].reverse().findIndex((count) => count > 0);
    low = Math.min(low, first);
    high = Math.max(high, last);
  }
  return [low, high + 1];
}

const VIRIDIS = colors.map(rgb); // the part of it that report.py names, in equal steps

function rgb(hex) {
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

function colormap(fraction) {
  const position = Math.min(Math.max(fraction, 0), 1) * (VIRIDIS.length - 1);
  const index = Math.min(Math.floor(position), VIRIDIS.length - 2);
  return VIRIDIS[index].map((from, channel) => from + (VIRIDIS[index + 1][channel] - from) * (position - index));
}

/** RGBA of every score level: colours over [low, high), grey below the threshold. */
function palette([low, high], threshold, muted) {
  const table = new Uint8Array(LEVELS * 4);
  for (let level = 0; level < LEVELS; level++) {
    const color = level < threshold ? muted : colormap((level + 0.5 - low) / (high - low));
    table.set([...color.map(Math.round), 255], level * 4);
  }
  return table;
}

const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const cssColor = (name) => rgb(theme(name).slice(1));
