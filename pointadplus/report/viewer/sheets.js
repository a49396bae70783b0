// On paper: one scan a page, laid out, made when it is printed.

const ON_PAPER = 8; // regions of a scan's table
const VIEWS = 3; // at most
const [WIDE, HIGH] = [270, 230]; // of a view, in CSS pixels

const made = (tag, ...children) => {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
};

let dark = null; // the room that all views are taken in: browsers grant few renderers

/** Rotations under which, together, as many of the marks are seen as can be; the first is the page's own. */
function sides(scan) {
  const size = [WIDE, HIGH];
  const cloud = decode(scan).score;
  const found = [{ name: scan.regions.length ? "Where it is worst" : "As it opens", rotation: scan.rotation }];
  let left = marks(scan);
  for (;;) {
    const behind = hidden(left.map((mark) => mark.at), cloud, paperFrame(found.at(-1).rotation, cloud, size, 1), size);
    left = left.filter((_, index) => behind[index]);
    if (!left.length || found.length === VIEWS) break;
    const { at, region, number: shown } = left.shift();
    const ways = [1, -1].map((sign) => facing((region?.normal ?? at).map((value) => sign * value), scan.rotation));
    const covered = ways.map((rotation) => hidden([at], cloud, paperFrame(rotation, cloud, size, 1), size)[0]);
    found.push({ name: `Toward ${shown}`, rotation: ways[covered[0] && !covered[1] ? 1 : 0] });
  }
  if (found.length === 1) found.push({ name: "From behind", rotation: multiply(tilt(0, Math.PI), scan.rotation) });
  return found;
}

const paperFrame = (rotation, cloud, size, ratio) => framed({ rotation, zoom: 1.1, offset: [0, 0] }, cloud, size, ratio);

/** Colours of the whole range and from the scan's own limit, wherever the sliders of the screen stand. */
function paperTable(scan) {
  if (layerOf(scan) === "deviation") return deviationPalette(scan);
  return palette(scan, [0, LEVELS], firstThreshold(scan), rgb(PAPER.muted.slice(1)));
}

function shoot(scan, rotation) {
  const [width, height] = [WIDE, HIGH].map((side) => side * PAPER.ratio);
  if (!dark) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    dark = { canvas, draw: webglRenderer(canvas) || softwareRenderer(canvas) };
  }
  const cloud = decode(scan)[layerOf(scan)];
  const frame = paperFrame(rotation, cloud, [width, height], PAPER.ratio);
  dark.draw(cloud, frame, paperTable(scan));
  const picture = Object.assign(document.createElement("canvas"), { width, height, className: "view" });
  const context = picture.getContext("2d");
  context.drawImage(dark.canvas, 0, 0);
  label(context, scan, cloud, frame, [width, height]);
  return picture;
}

/** Numbers at the places that this side shows. */
function label(context, scan, cloud, frame, size) {
  const ratio = PAPER.ratio;
  context.font = `${10 * ratio}px system-ui, sans-serif`;
  const found = marks(scan);
  const behind = hidden(found.map((mark) => mark.at), cloud, frame, size);
  const seen = found.filter((_, index) => !behind[index]);
  const boxes = seen.map((mark) => [context.measureText(`${mark.number} ${mark.text}`).width + 8 * ratio, 14 * ratio]);
  const placed = layOut(seen, frame, size, boxes);
  drawLeaders(context, placed, ratio);
  for (const { number: shown, text, left, top, w, h } of placed) {
    context.fillStyle = "#ffffff";
    context.strokeStyle = "#1b1f24";
    context.lineWidth = 0.8 * ratio;
    context.beginPath();
    context.roundRect(left, top, w, h, 6 * ratio);
    context.fill();
    context.stroke();
    context.fillStyle = "#1b1f24";
    context.fillText(`${shown} ${text}`, left + 4 * ratio, top + 10.5 * ratio);
  }
}

function chart(paint, scan, width, height) {
  const canvas = document.createElement("canvas");
  paint(canvas, scan, PAPER, width, height);
  return canvas;
}

/** What the colours of scores mean, where no bar is drawn. */
function colorsOf(scan) {
  if (scan.limit === null) return "Colours are point scores: from dark blue, 0, over green to yellow, 1";
  return `Colours are point scores: grey below the limit, ${score(scan.limit)}; from amber to dark red, 1, above it`;
}

function sheet(scan) {
  const page = Object.assign(document.createElement("section"), { className: "sheet" });
  const heading = made("header", made("h2", scan.name), fillBadge(document.createElement("span"), scan), made("p", document.title));
  const facts = made("dl", ...pairs([...scan.facts, ["Size", sizeOf(scan)], ["Object score", score(scan.objectScore)]]));
  const views = sides(scan).map(({ name, rotation }) => made("figure", shoot(scan, rotation), made("figcaption", name)));
  page.append(heading, facts, Object.assign(made("div", ...views), { className: "pair" }));
  if (scan.deviation) {
    page.append(made("figure", chart(paintDeviations, scan, 700, 100), made("figcaption", sharesOf(scan))));
    const table = made("table", made("caption", element("statistics").caption.textContent), made("tbody"));
    fillStatistics(table, scan);
    const cut = scan.deviation.section ? [made("figure", chart(paintSection, scan, 340, 140), made("figcaption", sectionCaption(scan)))] : [];
    page.append(Object.assign(made("div", table, ...cut), { className: "pair" }));
  }
  if (layerOf(scan) === "score") page.append(made("p", colorsOf(scan)));
  const regions = made("table", made("caption"), made("thead", made("tr")), made("tbody"));
  fillTable(regions, scan, ON_PAPER);
  page.append(regions, ...scan.notes.map((note) => made("p", `Note: ${note}`)));
  page.append(Object.assign(made("div", made("span", "Inspected by"), made("span", "Date, signature")), { className: "signature" }));
  return page;
}

addEventListener("beforeprint", () => element("sheets").replaceChildren(...list.shown.map((index) => sheet(scans[index]))));
addEventListener("afterprint", () => element("sheets").replaceChildren());
