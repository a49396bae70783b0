// The page of one scan.

const BINS = 44; // of the histogram of object scores

const state = { scan: 0, threshold: null, layer: "deviation", frame: 0 };
/** What the colours show of a scan, and the score level from which they do. */
const layerOf = (scan) => (scan.deviation ? state.layer : "score");
const threshold = () => state.threshold ?? firstThreshold(scans[state.scan]);
const spans = { full: () => [0, LEVELS], report: () => levelSpan(scans), scan: () => levelSpan([scans[state.scan]]) };
const number = (value) => value.toLocaleString("en");
const score = (value) => value.toFixed(3);
const length = (value) => Number(value.toPrecision(4)).toString();
// To a thousandth at least of the size of what it lies on, however far from the origin that is.
const place = (position, whole) => {
  const decimals = 3 - Math.floor(Math.log10(whole));
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
  const scan = scans[state.scan];
  const cloud = decode(scan)[layerOf(scan)];
  const frame = framed(camera, cloud, [width, height], ratio, Number(element("size").value));
  draw(cloud, frame, tableOf(scan));
  placeCallouts(scan, cloud, frame, [width, height], ratio);
}

function tableOf(scan, muted = cssColor("--muted-point")) {
  if (layerOf(scan) === "deviation") return deviationPalette(scan);
  return palette(scan, spans[element("range").value](), threshold(), muted);
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
  const colors = palette(scans[state.scan], span, threshold(), cssColor("--muted-point"));
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
  const above = scan.histogram.slice(threshold()).reduce((sum, count) => sum + count, 0);
  element("threshold").value = threshold();
  element("threshold-value").textContent = score(state.threshold === null && scan.limit !== null ? scan.limit : threshold() / LEVELS);
  element("above").textContent = `${number(above)} points at or above (${((100 * above) / scan.points).toFixed(2)} %)`;
  element("range-low").textContent = "0";
  element("range-high").textContent = "1";
}

function refresh() {
  const scan = scans[state.scan];
  const deviating = layerOf(scan) === "deviation";
  element("layer").hidden = element("statistics").hidden = !scan.deviation;
  for (const button of element("layer").children) button.setAttribute("aria-pressed", String(button.dataset.layer === state.layer));
  element("gauge").hidden = !deviating;
  element("scale").hidden = element("options").hidden = deviating;
  element("cut").hidden = !scan.deviation?.section;
  if (deviating) {
    paintDeviations(element("deviation-scale"), scan, screenInk());
    element("shares").textContent = sharesOf(scan);
  } else {
    paintScale();
    paintNumbers();
  }
  if (scan.deviation?.section) {
    paintSection(element("section"), scan, screenInk());
    element("section-caption").textContent = sectionCaption(scan);
  }
  paintComparison();
  redraw();
}

const sizeOf = (scan) => `${scan.extents.map(length).join(" × ")} ${scan.unit ?? "(file's unit)"}`;

function details(scan) {
  const rows = [
    ["Size", sizeOf(scan)],
    ["Highest point", `${score(scan.peak.score)} at (${place(scan.peak.position, longestSide(scan))}), row ${number(scan.peak.row)}`],
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
  element("details").replaceChildren(...pairs(rows).flatMap((pair) => [...pair.children]));
}

/** Names with their values, each pair in a division, as a list of definitions has them. */
function pairs(rows) {
  return rows.map(([name, value]) => {
    const pair = document.createElement("div");
    pair.append(...cells(document.createElement("div"), "dt", [name]).children, ...cells(document.createElement("div"), "dd", [value]).children);
    return pair;
  });
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Number(Math.abs(value).toPrecision(3))}`;
const off = (name, told) => ({ deviation }) => (deviation ? told(deviation[name]) : "–");

const COLUMNS = [
  ["Region", (region) => region.number],
  ["Largest (unit)", off("largest", signed)],
  ["Mean (unit)", off("mean", signed)],
  ["Excess (unit³)", off("excess", length)],
  ["Lack (unit³)", off("lack", length)],
  ["Peak score", (region) => score(region.peak_score)],
  ["Mean score", (region) => score(region.mean_score)],
  ["Points", (region) => number(region.points)],
  ["Area (unit²)", (region) => length(region.area)],
  ["Length × width", (region) => region.extent.slice(0, 2).map(length).join(" × ")],
  ["Depth", (region) => (region.depth === null ? "–" : `${!region.sided ? "±" : region.depth > 0 ? "+" : ""}${length(region.depth)}`)],
  ["Position", (region, scan) => place(region.position, longestSide(scan))],
  ["On the nominal", (region, scan) => (region.deviation ? place(region.deviation.position, longestSide(scan) * scan.deviation.scale) : "–")],
  ["Word", (region) => region.word],
];
const OF_NOMINAL = [...COLUMNS.slice(1, 5).map(([name]) => name), "On the nominal"];

/** The columns that a scan's table has. */
function columnsOf(scan) {
  const told = { "Word": scan.regions.some((region) => region.word !== null), "Mean score": !scan.deviation, "Position": !scan.deviation, "Depth": !scan.deviation };
  for (const name of OF_NOMINAL) told[name] = Boolean(scan.deviation);
  return COLUMNS.filter(([name]) => told[name] ?? true);
}

function cells(row, tag, values) {
  row.replaceChildren(...values.map((value) => Object.assign(document.createElement(tag), { textContent: value })));
  return row;
}

/** Depth is above (+) or below (−) the surface around the region, in the file's unit. */
function fillTable(table, scan, most = Infinity) {
  const shown = scan.regions.slice(0, most);
  const columns = columnsOf(scan);
  table.tHead.hidden = !shown.length;
  cells(table.tHead.rows[0], "th", columns.map(([name]) => (scan.unit ? name.replace("unit", scan.unit) : name)));
  for (const cell of table.tHead.rows[0].cells) cell.scope = "col";
  table.tBodies[0].replaceChildren(
    ...shown.map((region) => cells(document.createElement("tr"), "td", columns.map(([, value]) => value(region, scan)))),
  );
  table.caption.textContent = regionsFound(scan, shown.length);
}

function regionsFound({ badge, deviation, regionCount, regionThreshold }, shown) {
  if (badge === "anomalous" && !regionCount) return `No region: the object's score is above its limit, but no five points together reach ${score(regionThreshold)}`;
  const count = `${number(regionCount)} ${regionCount === 1 ? "region" : "regions"}`;
  const from = deviation?.limits ? "out of tolerance" : `at ${score(regionThreshold)} or above`;
  return `${count} ${from}${shown < regionCount ? `, ${number(shown)} shown` : ""}`;
}

function tabulate(scan) {
  const table = element("regions").firstElementChild;
  fillTable(table, scan);
  [...table.tBodies[0].rows].forEach((row, index) => {
    row.tabIndex = 0;
    row.title = "Show it on the model";
    row.addEventListener("click", () => flyTo(scan.regions[index]));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter") flyTo(scan.regions[index]);
    });
  });
}

function fillStatistics(table, scan) {
  table.tBodies[0].replaceChildren(
    ...scan.deviation.statistics.map(([name, value]) => {
      const row = cells(document.createElement("tr"), "th", [name]);
      row.cells[0].scope = "row";
      row.append(Object.assign(document.createElement("td"), { textContent: value }));
      return row;
    }),
  );
}

function select(index) {
  state.scan = index;
  const scan = scans[index];
  element("name").textContent = scan.name;
  fillBadge(element("badge"), scan);
  element("facts").replaceChildren(...pairs(scan.facts));
  if (scan.deviation) fillStatistics(element("statistics"), scan);
  element("object-score").textContent = score(scan.objectScore);
  element("counts").textContent =
    scan.shown < scan.points
      ? `${number(scan.shown)} of ${number(scan.points)} points shown, the highest-scoring among them`
      : `all ${number(scan.points)} points shown`;
  details(scan);
  tabulate(scan);
  makeCallouts(scan);
  reset();
  markCurrent();
  refresh();
}
