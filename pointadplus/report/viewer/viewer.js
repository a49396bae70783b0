// The camera, and the page of one scan.

const element = (id) => document.getElementById(id);
const BINS = 44; // of the histogram of object scores
const FILL = 0.47; // of the view's shorter side, at zoom 1: the radius of the sphere around the cloud

const view = element("view");
const draw = webglRenderer(view) || softwareRenderer(view);
const camera = {};

function multiply(a, b) {
  return a.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + a[3 * Math.floor(i / 3) + k] * b[3 * k + (i % 3)], 0));
}

/** Turn about the screen's axes: whatever axis the file calls up, the hand's movement is what is seen. */
function turn(aboutX, aboutY) {
  const [cx, sx, cy, sy] = [Math.cos(aboutX), Math.sin(aboutX), Math.cos(aboutY), Math.sin(aboutY)];
  const step = multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], [cy, 0, sy, 0, 1, 0, -sy, 0, cy]);
  camera.rotation = multiply(step, camera.rotation);
  redraw();
}

function zoom(factor) {
  camera.zoom = Math.min(Math.max(camera.zoom * factor, 0.2), 40);
  redraw();
}

function move(dx, dy) {
  camera.offset = [camera.offset[0] + dx, camera.offset[1] + dy];
  redraw();
}

/** The side that shows the scan's highest scores best. */
function reset() {
  Object.assign(camera, { rotation: scans[state.scan].rotation, zoom: 1, offset: [0, 0] });
  redraw();
}

// ---- the page ----

const state = { scan: 0, threshold: 0, frame: 0 };
const spans = { full: () => [0, LEVELS], report: () => levelSpan(scans), scan: () => levelSpan([scans[state.scan]]) };
const number = (value) => value.toLocaleString("en");
const score = (value) => value.toFixed(3);
const length = (value) => Number(value.toPrecision(4)).toString();
// To a thousandth of the scan's size at least, however far from the origin it lies.
const place = (position, scan) => {
  const decimals = 3 - Math.floor(Math.log10(Math.max(...scan.extents) || 1));
  return position.map((value) => Number(value.toFixed(Math.min(Math.max(decimals, 0), 20))).toString()).join(", ");
};

function redraw() {
  if (!state.frame) state.frame = requestAnimationFrame(paint);
}

function paint() {
  state.frame = 0;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [view.clientWidth, view.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
  if (view.width !== width || view.height !== height) Object.assign(view, { width, height });
  const cloud = decode(scans[state.scan]);
  camera.pixels = (FILL * Math.min(width, height) * DISTANCE * camera.zoom) / cloud.radius;
  camera.shift = camera.offset.map((value) => value * ratio);
  camera.dot = 2.4 * cloud.spacing * 2 ** (Number(element("size").value) / 4);
  camera.reach = Math.max(1, Math.round(1.5 * ratio));
  draw(cloud, camera, palette(spans[element("range").value](), state.threshold, cssColor("--muted-point")));
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}

/** The slider, the bar and the histogram share one axis: score 0 at the left, 1 at the right. */
function paintScale() {
  const { histogram } = scans[state.scan];
  const span = spans[element("range").value]();
  const colors = palette(span, state.threshold, cssColor("--muted-point"));
  const fill = (level) => `rgb(${colors.slice(4 * level, 4 * level + 3).join(" ")})`;
  const bar = fit(element("colorbar"));
  const bars = fit(element("histogram"));
  const tallest = Math.log1p(Math.max(...histogram));
  for (let level = 0; level < LEVELS; level++) {
    const [from, to] = [level, level + 1].map((edge) => Math.round((edge / LEVELS) * bar.canvas.width));
    const tall = (Math.log1p(histogram[level]) / tallest) * (bars.canvas.height - 2); // counts span decades
    bar.fillStyle = bars.fillStyle = fill(level);
    bar.fillRect(from, 0, to - from, bar.canvas.height);
    bars.fillRect(from, bars.canvas.height - tall, to - from, tall);
  }
}

/** Object scores to compare with: of the normal scans that the verdict rests on or, where there are none, of the page. */
function compared(scan) {
  if (scan.verdict) return { ...calibrations[scan.verdict.calibration], kind: "normal" };
  return { scores: scans.map((other) => other.objectScore), threshold: null, kind: "listed" };
}

/** How many of them score what, with the threshold (dashed) and a mark at this scan's own score. */
function paintComparison() {
  const scan = scans[state.scan];
  const { scores, threshold, kind } = compared(scan);
  const context = fit(element("comparison"));
  const { width, height } = context.canvas;
  const ratio = window.devicePixelRatio || 1;
  const counts = new Array(BINS).fill(0);
  for (const value of scores) counts[Math.min(BINS - 1, Math.floor(value * BINS))]++;
  const [floor, tallest] = [height - 8 * ratio, Math.max(...counts)];
  context.fillStyle = theme("--muted-point");
  counts.forEach((count, bin) => {
    const [from, to] = [bin, bin + 1].map((edge) => Math.round((edge / BINS) * width));
    const tall = (count / tallest) * (floor - 2);
    context.fillRect(from, floor - tall, to - from - ratio, tall);
  });
  context.fillStyle = theme("--line");
  context.fillRect(0, floor, width, ratio);
  if (threshold !== null) {
    context.strokeStyle = theme("--text");
    context.setLineDash([3 * ratio, 2 * ratio]);
    context.lineWidth = ratio;
    context.beginPath();
    context.moveTo(threshold * width, 0);
    context.lineTo(threshold * width, floor);
    context.stroke();
  }
  const mark = Math.min(Math.max(scan.objectScore * width, 4 * ratio), width - 4 * ratio);
  context.fillStyle = theme("--accent");
  context.beginPath();
  context.moveTo(mark, floor + ratio);
  context.lineTo(mark - 4 * ratio, height);
  context.lineTo(mark + 4 * ratio, height);
  context.fill();
  const others = kind === "normal" ? "normal scans" : scores.length === 1 ? "scan of this page" : "scans of this page";
  const limit = threshold === null ? "" : `; alarm from ${score(threshold)}`;
  element("compared").textContent = `▲ among ${number(scores.length)} ${others}${limit}`;
  element("comparison").setAttribute(
    "aria-label",
    `${number(scores.length)} ${others} score ${score(Math.min(...scores))} to ${score(Math.max(...scores))}; this one ${score(scan.objectScore)}`,
  );
}

function paintNumbers() {
  const scan = scans[state.scan];
  const above = scan.histogram.slice(state.threshold).reduce((sum, count) => sum + count, 0);
  element("threshold-value").textContent = score(state.threshold / LEVELS);
  element("above").textContent = `${number(above)} points at or above (${((100 * above) / scan.points).toFixed(2)} %)`;
  element("range-low").textContent = "0";
  element("range-high").textContent = "1";
}

function refresh() {
  paintScale();
  paintComparison();
  paintNumbers();
  redraw();
}

function details(scan) {
  const rows = [
    ["Size", `${scan.extents.map(length).join(" × ")} ${scan.unit ?? "(file's unit)"}`],
    ["Highest point", `${score(scan.peak.score)} at (${place(scan.peak.position, scan)}), row ${number(scan.peak.row)}`],
  ];
  if (scan.verdict) {
    const { anomalous, pValue, promise, scans: count } = scan.verdict;
    const text = anomalous === null ? "not measurable"
      : `${anomalous ? "anomalous" : "not anomalous"}, p = ${Number(pValue.toPrecision(3))}`;
    rows.unshift(["Verdict", `${text}; at most ${Number((100 * promise).toPrecision(3))} % false alarms, by ${number(count)} normal scans`]);
  } else if (!scan.measurable) {
    rows.unshift(["Verdict", "not measurable, as the notes say"]);
  }
  if (scan.dropped) rows.push(["Without a value", `${number(scan.dropped)} rows, not scored`]);
  for (const note of scan.notes) rows.push(["Note", note]);
  const stages = Object.entries(scan.seconds);
  if (stages.length) rows.push(["Time", stages.map(([stage, value]) => `${stage} ${value.toFixed(2)} s`).join(" · ")]);
  element("details").replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const pair = [document.createElement("dt"), document.createElement("dd")];
      pair[0].textContent = name;
      pair[1].textContent = value;
      return pair;
    }),
  );
}

const COLUMNS = [
  ["Region", (region) => region.number],
  ["Peak score", (region) => score(region.peak_score)],
  ["Mean score", (region) => score(region.mean_score)],
  ["Points", (region) => number(region.points)],
  ["Area (unit²)", (region) => length(region.area)],
  ["Length × width", (region) => region.extent.slice(0, 2).map(length).join(" × ")],
  ["Depth", (region) => (region.depth === null ? "–" : `${!region.sided ? "±" : region.depth > 0 ? "+" : ""}${length(region.depth)}`)],
  ["Position", (region) => place(region.position, scans[state.scan])],
  ["Word", (region) => region.word],
];

function cells(row, tag, values) {
  row.replaceChildren(...values.map((value) => Object.assign(document.createElement(tag), { textContent: value })));
  return row;
}

/** Depth is above (+) or below (−) the surface around the region, in the file's unit. */
function tabulate({ regions, regionCount, regionThreshold, unit }) {
  const columns = COLUMNS.filter(([name]) => name !== "Word" || regions.some((region) => region.word !== null));
  const [table, count] = [element("regions").firstElementChild, `${number(regionCount)} ${regionCount === 1 ? "region" : "regions"}`];
  const shown = regions.length < regionCount ? `, ${number(regions.length)} shown` : "";
  element("region-caption").textContent = `${count} at ${score(regionThreshold)} or above${shown}`;
  table.tHead.hidden = !regions.length;
  cells(table.tHead.rows[0], "th", columns.map(([name]) => (unit ? name.replace("unit", unit) : name)));
  for (const cell of table.tHead.rows[0].cells) cell.scope = "col";
  table.tBodies[0].replaceChildren(
    ...regions.map((region) => cells(document.createElement("tr"), "td", columns.map(([, value]) => value(region)))),
  );
}

function select(index) {
  state.scan = index;
  const scan = scans[index];
  element("name").textContent = scan.name;
  element("object-score").textContent = score(scan.objectScore);
  element("counts").textContent =
    scan.shown < scan.points
      ? `${number(scan.shown)} of ${number(scan.points)} points shown, the highest-scoring among them`
      : `all ${number(scan.points)} points shown`;
  details(scan);
  tabulate(scan);
  reset();
  markCurrent();
  refresh();
}
