// Numbers on the model: at its regions or, where there is none, at its largest deviations.

const CALLOUTS = 12;
const FLIGHT = 450; // milliseconds

/** Label, place and region of what is pointed at. */
function marks(scan) {
  const deviating = layerOf(scan) === "deviation";
  const told = (region) => (deviating ? (region.deviation ? signed(region.deviation.largest) : "") : score(region.peak_score));
  const found = scan.regions.slice(0, CALLOUTS).map((region) => ({
    number: String(region.number), text: told(region), at: local(scan, region.peak_position), region,
  }));
  if (found.length || !deviating) return found;
  return scan.deviation.extremes.map(({ position, value }, index) => ({
    number: "▲▼"[index], text: signed(value), at: local(scan, position), region: null,
  }));
}

/** The labels of the marks: outward from the model's middle, none on another. Sizes in pixels. */
function layOut(found, frame, [width, height], boxes) {
  const placed = found.map((mark, index) => {
    const [x, y] = project(mark.at, frame, [width, height]);
    const away = unit([x - width / 2 || 1, y - height / 2 || -1]);
    const [w, h] = boxes[index];
    const [left, top] = [x + away[0] * 2.2 * h - w / 2 + (away[0] * w) / 2, y + away[1] * 2.2 * h - h / 2];
    return { ...mark, x, y, w, h, left, top };
  });
  for (let round = 0; round < 8; round++) {
    for (const one of placed) {
      for (const other of placed) {
        const apart = Math.abs(one.left + one.w / 2 - other.left - other.w / 2) >= (one.w + other.w) / 2 + 2;
        if (one === other || apart || Math.abs(one.top - other.top) >= one.h + 2) continue;
        const [upper, lower] = one.top < other.top || (one.top === other.top && placed.indexOf(one) < placed.indexOf(other)) ? [one, other] : [other, one];
        const push = (one.h + 2 - (lower.top - upper.top)) / 2;
        upper.top -= push;
        lower.top += push;
      }
    }
  }
  for (const mark of placed) {
    mark.left = Math.min(Math.max(mark.left, 2), Math.max(2, width - mark.w - 2));
    mark.top = Math.min(Math.max(mark.top, 2), Math.max(2, height - mark.h - 2));
  }
  return placed;
}

function drawLeaders(context, placed, ratio) {
  context.lineWidth = 1.25 * ratio;
  for (const { x, y, left, top, w, h, behind } of placed) {
    context.globalAlpha = behind ? 0.35 : 1;
    for (const [color, extra] of [["#ffffff", 1.5 * ratio], ["#1b1f24", 0]]) {
      context.strokeStyle = context.fillStyle = color;
      context.lineWidth = 1.25 * ratio + extra;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(left + w / 2, top + h / 2);
      context.stroke();
      context.beginPath();
      context.arc(x, y, 2.5 * ratio + extra / 2, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

let called = { found: [], buttons: [], boxes: [] };

function makeCallouts(scan) {
  const found = marks(scan);
  const buttons = found.map((mark) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: "Show it from near" });
    button.append(Object.assign(document.createElement("b"), { textContent: mark.number }), ` ${mark.text}`);
    button.addEventListener("click", () => flyTo(mark.region ?? mark));
    return button;
  });
  element("callouts").replaceChildren(...buttons);
  called = { found, buttons, boxes: buttons.map((button) => [button.offsetWidth, button.offsetHeight]) };
}

function placeCallouts(scan, cloud, frame, size, ratio) {
  const context = fit(element("leaders"));
  if (!called.found.length) return;
  const boxes = called.boxes.map((box) => box.map((side) => side * ratio));
  const behind = hidden(called.found.map((mark) => mark.at), cloud, frame, size);
  const placed = layOut(called.found, frame, size, boxes).map((mark, index) => ({ ...mark, behind: behind[index] }));
  drawLeaders(context, placed, ratio);
  placed.forEach((mark, index) => {
    const outside = mark.x < 0 || mark.y < 0 || mark.x > size[0] || mark.y > size[1];
    called.buttons[index].style.transform = `translate(${mark.left / ratio}px, ${mark.top / ratio}px)`;
    called.buttons[index].classList.toggle("behind", mark.behind || outside);
  });
}

/** Turn a region, or a mark without one, to the eye, and come near. */
function flyTo(target) {
  const scan = scans[state.scan];
  const cloud = decode(scan).score;
  const at = target.at ?? local(scan, target.position);
  const side = target.normal ?? at;
  const extent = (target.extent?.[0] ?? 0) / longestSide(scan);
  const near = Math.min(Math.max((0.35 * cloud.radius) / Math.max(extent, 1e-6), 1.2), 4);
  const size = [view.width, view.height];
  const ways = [side, side.map((value) => -value)].map((way) => facing(way, camera.rotation));
  const covered = ways.map((rotation) => hidden([at], cloud, framed({ rotation, zoom: 1, offset: [0, 0] }, cloud, size, 1), size)[0]);
  const rotation = ways[covered[0] && !covered[1] ? 1 : 0];
  const frame = framed({ rotation, zoom: near, offset: [0, 0] }, cloud, size, 1);
  const [column, row] = project(at, frame, size);
  const ratio = window.devicePixelRatio || 1;
  fly({ rotation, zoom: near, offset: [(size[0] / 2 - column) / ratio, (size[1] / 2 - row) / ratio] });
  if (element("stage").getBoundingClientRect().top < 0) element("stage").scrollIntoView({ block: "nearest" });
}

function fly(to) {
  const from = { ...camera };
  const begun = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  camera.flight = to;
  const go = (now) => {
    if (camera.flight !== to) return; // a hand, or another flight, took over
    const share = still ? 1 : Math.min(Math.max((now - begun) / FLIGHT, 0), 1);
    const eased = share * share * (3 - 2 * share);
    const mix = (a, b) => a + (b - a) * eased;
    camera.rotation = between(from.rotation, to.rotation, eased);
    camera.zoom = Math.exp(mix(Math.log(from.zoom), Math.log(to.zoom)));
    camera.offset = from.offset.map((value, axis) => mix(value, to.offset[axis]));
    redraw();
    if (share < 1) requestAnimationFrame(go);
  };
  requestAnimationFrame(go);
}
