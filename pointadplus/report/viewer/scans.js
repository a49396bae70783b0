// The scans of the page, and what a score looks like. The files of this folder are joined into one script module.

const { scans, colors, beyond, calibrations } = JSON.parse(document.getElementById("report-data").textContent);
const LEVELS = 256;
const longestSide = (scan) => Math.max(...scan.extents) || 1;

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Decode a scan on first use, its scores and its deviations: hundreds of scans may stand in one page. */
function decode(scan) {
  if (!scan.decoded) {
    const positions = new Uint16Array(bytes(scan.positions).buffer);
    const longest = longestSide(scan);
    const [a, b, c] = scan.extents.map((extent) => extent / longest);
    const spacing = Math.sqrt((2 * (a * b + b * c + c * a) + 0.01) / scan.shown);
    const center = [a / 2, b / 2, c / 2];
    const radius = Math.hypot(...center);
    const shared = { positions, count: scan.shown, center, radius, spacing };
    scan.decoded = { score: { ...shared, scores: bytes(scan.scores) } };
    if (scan.deviation) scan.decoded.deviation = { ...shared, scores: bytes(scan.deviation.levels) };
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

const [VIRIDIS, BEYOND] = [colors, beyond].map((list) => list.map(rgb)); // in equal steps

function rgb(hex) {
  return [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

function colormap(stops, fraction) {
  const position = Math.min(Math.max(fraction, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(position), stops.length - 2);
  return stops[index].map((from, channel) => from + (stops[index + 1][channel] - from) * (position - index));
}

/** RGBA of every score level: colours over [low, high), grey below the threshold; beyond a known limit from amber to red. */
function palette(scan, [low, high], threshold, muted) {
  const [stops, from] = scan.limit === null ? [VIRIDIS, low] : [BEYOND, Math.max(low, threshold)];
  const table = new Uint8Array(LEVELS * 4);
  for (let level = 0; level < LEVELS; level++) {
    const color = level < threshold ? muted : colormap(stops, (level + 0.5 - from) / Math.max(high - from, 1));
    table.set([...color.map(Math.round), 255], level * 4);
  }
  return table;
}

/** RGBA of every level of deviation, which the page's writer chose. */
function deviationPalette(scan) {
  const [table, swatches] = [new Uint8Array(LEVELS * 4).fill(255), bytes(scan.deviation.colors)];
  for (let level = 0; level < LEVELS; level++) table.set(swatches.subarray(3 * level, 3 * level + 3), 4 * level);
  return table;
}

/** The threshold that a scan opens with: no level that reaches below its limit is coloured. */
const firstThreshold = (scan) => (scan.limit === null ? 0 : Math.min(LEVELS, Math.ceil(scan.limit * LEVELS)));

const KINDS = { "in tolerance": "good", normal: "good", "out of tolerance": "bad", anomalous: "bad", "not measurable": "unknown" };
const SIGNS = { good: "✓ ", bad: "✗ ", unknown: "? " };

/** How many scans have which verdict, bad ones first; where nothing was decided, what a score means. */
function verdicts() {
  const order = ["bad", "unknown", "good"];
  const found = [...new Set(scans.map((scan) => scan.badge))].filter((badge) => badge !== null);
  found.sort((one, other) => order.indexOf(KINDS[one]) - order.indexOf(KINDS[other]));
  const told = found.map((badge) => `${number(scans.filter((scan) => scan.badge === badge).length)} ${badge}`);
  return told.length ? told : ["higher is more anomalous"];
}

/** The verdict in words, with a sign, so that no colour has to be seen; hidden where nothing was decided. */
function fillBadge(badge, scan) {
  const kind = KINDS[scan.badge] ?? "";
  badge.className = "badge";
  badge.dataset.kind = kind;
  badge.textContent = scan.badge === null ? "" : `${SIGNS[kind]}${scan.badge}`;
  badge.hidden = scan.badge === null;
  return badge;
}

const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const cssColor = (name) => rgb(theme(name).slice(1));
