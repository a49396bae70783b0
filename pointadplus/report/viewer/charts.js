// Pictures of numbers: deviations with their limits, and the section. Each draws for the screen and for paper alike.

const PAPER = { text: "#1b1f24", soft: "#5d6671", line: "#dcdfe3", muted: "#b9bfc6", ratio: 3 };
const screenInk = () => ({
  text: theme("--text"), soft: theme("--soft"), line: theme("--line"), muted: theme("--muted-point"),
  ratio: window.devicePixelRatio || 1,
});

/** A canvas with as many pixels as it is large; its context draws in CSS pixels. */
function paper(canvas, { ratio }, width = canvas.clientWidth, height = canvas.clientHeight) {
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "11px system-ui, sans-serif";
  return { context, width, height };
}

const lengthUnit = (scan) => (scan.unit ? ` ${scan.unit}` : "");

/** How many points deviate by what, over the bar of the colours; the limits go through both. */
function paintDeviations(canvas, scan, ink, ...size) {
  const { context, width, height } = paper(canvas, ink, ...size);
  const { histogram, span, band, limits } = scan.deviation;
  const colors = deviationPalette(scan);
  const counts = histogram.slice(1);
  const tallest = Math.log1p(Math.max(...counts, 1));
  const [bar, floor] = [14, height - 34];
  const across = (value) => ((value + span) / (2 * span)) * width;
  counts.forEach((count, bin) => {
    const [from, to] = [bin, bin + 1].map((edge) => Math.round((edge / counts.length) * width * ink.ratio) / ink.ratio);
    context.fillStyle = `rgb(${colors.slice(4 * (bin + 1), 4 * (bin + 1) + 3).join(" ")})`;
    context.fillRect(from, floor + 2, to - from, bar);
    const tall = (Math.log1p(count) / tallest) * (floor - 16); // counts span decades
    context.fillRect(from, floor - tall, to - from, tall);
  });
  context.strokeStyle = ink.text;
  context.setLineDash([3, 2]);
  const low = limits ? band[0] : -band[1];
  const room = (value) => Math.min(across(value), width - across(value)) > 62;
  const labels = [[-span, "left"], [span, "right"]].filter((_, end) => room([low, band[1]][end])); // else the limit's alone
  for (const value of [low, band[1]]) {
    context.beginPath();
    context.moveTo(across(value), 14);
    context.lineTo(across(value), floor + 2 + bar + 3);
    context.stroke();
    labels.push([value, value === low ? "right" : "left"]);
  }
  context.fillStyle = ink.text;
  for (const [value, align] of labels) {
    context.textAlign = align;
    const near = across(band[1]) - across(low) < 60; // numbers stand about their limits' lines, if there is room
    const inward = Math.abs(value) === span ? 0 : (align === "right" ? 1 : -1) * (near ? -2 : 8);
    context.fillText(signed(value), across(value) + inward, floor + bar + 14);
  }
  context.fillStyle = ink.soft;
  context.textAlign = "left";
  context.fillText(`Deviation${scan.unit ? `, ${scan.unit}` : ""} · points, logarithmic`, 0, 10);
  canvas.setAttribute("aria-label", `Deviations from ${signed(-span)} to ${signed(span)}${lengthUnit(scan)}; ${sharesOf(scan)}`);
}

function sharesOf({ deviation, points, unit: name }) {
  const grey = deviation.histogram[0];
  const inside = deviation.limits
    ? `${(100 * deviation.within).toFixed(2)} % within ${deviation.limits}${name ? ` ${name}` : ""}`
    : `no tolerance; ${(100 * deviation.significant).toFixed(2)} % off by more than noise (dashed)`;
  return grey ? `${inside}; grey: ${number(grey)} of ${number(points)} points not measured` : inside;
}

/** The nominal's outline, its limits faint, and from each place the deviation, drawn larger, in its colour. */
function paintSection(canvas, scan, ink, ...size) {
  const { context, width, height } = paper(canvas, ink, ...size);
  const { nominal, points, factor, window: half } = scan.deviation.section;
  const { band, span, limits } = scan.deviation;
  const colors = deviationPalette(scan);
  const bins = scan.deviation.histogram.length - 1;
  const heights = points.flatMap(([, v, , nv, d]) => [v, v + (nv * d * factor) / half]);
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const scale = Math.min((width - 8) / 2, (height - 8) / Math.max(high - low, 0.2));
  const middle = (low + high) / 2;
  const put = (u, v) => [width / 2 + u * scale, height / 2 - (v - middle) * scale];
  const spot = ([x, y], side) => context.fillRect(x - side / 2, y - side / 2, side, side);
  for (const [u, v, nu, nv, d] of points) {
    const along = (value) => put(u + (nu * value * factor) / half, v + (nv * value * factor) / half);
    const level = 1 + Math.min(Math.max(Math.floor(((d + span) / (2 * span)) * bins), 0), bins - 1);
    context.strokeStyle = context.fillStyle = `rgb(${colors.slice(4 * level, 4 * level + 3).join(" ")})`;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(...put(u, v));
    context.lineTo(...along(d));
    context.stroke();
    spot(along(d), 2.2);
    context.fillStyle = ink.soft;
    if (limits) for (const value of band) spot(along(value), 0.7);
  }
  context.strokeStyle = ink.text;
  context.lineWidth = 1;
  context.beginPath();
  for (const [u, v, toU, toV] of nominal) {
    context.moveTo(...put(u, v));
    context.lineTo(...put(toU, toV));
  }
  context.stroke();
}

function sectionCaption(scan) {
  const { factor, window: half, place: at } = scan.deviation.section;
  const larger = factor > 1 ? `, whiskers ${number(factor)} times as long as the deviations` : "";
  const dots = scan.deviation.limits ? ", limits dotted" : "";
  return `Section through the worst place, (${place(at, longestSide(scan) * scan.deviation.scale)}) on the nominal, ${length(2 * half)}${lengthUnit(scan)} wide: the nominal's line${dots}${larger}`;
}
