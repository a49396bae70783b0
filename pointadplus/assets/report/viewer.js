"use strict";
(() => {
  const { scans } = JSON.parse(document.getElementById("report-data").textContent);
  const element = (id) => document.getElementById(id);
  const LEVELS = 256;
  const DISTANCE = 3; // of the eye from the centre, where the cloud's longest side is 1
  const FILL = 0.47; // of the view's shorter side, at zoom 1: the radius of the sphere around the cloud

  // ---- data -------------------------------------------------------------------------------------------------------

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

  // ---- colour -----------------------------------------------------------------------------------------------------

  // Viridis (van der Walt and Smith, 2015) from 0.2 in tenths: readable with any colour vision and in grey print.
  // Its darkest fifth is left out, because shading could not be seen there.
  const VIRIDIS = ["414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725"].map(rgb);

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

  const cssColor = (name) => rgb(getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1));

  // ---- drawing: the same camera and the same depth shading in WebGL 2 and, where that is missing, in plain JavaScript --

  const VERTEX = `#version 300 es
    in vec3 position; in float level;
    uniform vec3 center; uniform mat3 rotation; uniform vec2 scale, shift; uniform float distance, dot_size;
    uniform sampler2D palette;
    out vec3 color;
    void main() {
      vec3 p = rotation * (position - center);
      float depth = distance - p.z;
      gl_Position = vec4(p.xy * scale + shift * depth, ((2.0 * distance) * depth - 2.0 * (distance * distance - 1.0)) / 2.0, depth);
      gl_PointSize = max(dot_size / depth, 1.5);
      color = texelFetch(palette, ivec2(int(level + 0.5), 0), 0).rgb;
    }`;
  const FRAGMENT = `#version 300 es
    precision mediump float;
    in vec3 color; out vec4 pixel;
    void main() {
      vec2 p = gl_PointCoord - 0.5;
      if (dot(p, p) > 0.25) discard;
      pixel = vec4(color, 1.0);
    }`;
  const SCREEN = `#version 300 es
    void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`;
  // Eye-dome lighting (Boucheny, 2009): a pixel is darker the further it lies behind its neighbours. Needs no normals.
  const SHADE = `#version 300 es
    precision highp float;
    uniform sampler2D colors; uniform highp sampler2D depths; uniform float distance, reach;
    out vec4 pixel;
    float eye(ivec2 at) {
      float z = texelFetch(depths, clamp(at, ivec2(0), textureSize(depths, 0) - 1), 0).r * 2.0 - 1.0;
      return z >= 1.0 ? distance + 1.0 : (distance * distance - 1.0) / (distance - z);
    }
    void main() {
      ivec2 at = ivec2(gl_FragCoord.xy);
      vec4 color = texelFetch(colors, at, 0);
      float depth = eye(at), hidden = 0.0;
      int r = int(reach);
      hidden += max(0.0, depth - eye(at + ivec2(r, 0))) + max(0.0, depth - eye(at - ivec2(r, 0)));
      hidden += max(0.0, depth - eye(at + ivec2(0, r))) + max(0.0, depth - eye(at - ivec2(0, r)));
      pixel = color.a == 0.0 ? vec4(0.0) : vec4(color.rgb * max(exp(-14.0 * hidden), 0.3), 1.0);
    }`;

  function webglRenderer(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) return null;

    function program(vertex, fragment) {
      const made = gl.createProgram();
      for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
        const shader = gl.createShader(type);
        gl.shaderSource(shader, text);
        gl.compileShader(shader);
        gl.attachShader(made, shader);
      }
      gl.linkProgram(made);
      if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) || "shader");
      return { made, at: (name) => gl.getUniformLocation(made, name) };
    }

    function texture(unit) {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    }

    const points = program(VERTEX, FRAGMENT);
    const shade = program(SCREEN, SHADE);
    const vertices = gl.createVertexArray();
    const empty = gl.createVertexArray();
    const buffers = { position: gl.createBuffer(), level: gl.createBuffer() };
    [0, 1, 2].forEach(texture); // palette, colours, depths
    const frame = gl.createFramebuffer();
    let loaded = null;
    let size = [0, 0];

    function load(cloud) {
      gl.bindVertexArray(vertices);
      const attribute = (name, data, width, type, normalised) => {
        const index = gl.getAttribLocation(points.made, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(index);
        gl.vertexAttribPointer(index, width, type, normalised, 0, 0);
      };
      attribute("position", cloud.positions, 3, gl.UNSIGNED_SHORT, true);
      attribute("level", cloud.scores, 1, gl.UNSIGNED_BYTE, false);
      loaded = cloud;
    }

    function resize(width, height) {
      gl.activeTexture(gl.TEXTURE1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      const colors = gl.getParameter(gl.TEXTURE_BINDING_2D);
      gl.activeTexture(gl.TEXTURE2);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.DEPTH_COMPONENT24, width, height, 0, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT, null);
      const depths = gl.getParameter(gl.TEXTURE_BINDING_2D);
      gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, colors, 0);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depths, 0);
      size = [width, height];
    }

    return (cloud, camera, table) => {
      const { width, height } = canvas;
      if (loaded !== cloud) load(cloud);
      if (size[0] !== width || size[1] !== height) resize(width, height);
      gl.viewport(0, 0, width, height);
      gl.activeTexture(gl.TEXTURE0);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, LEVELS, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table);

      gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
      gl.enable(gl.DEPTH_TEST);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.useProgram(points.made);
      gl.bindVertexArray(vertices);
      gl.uniform3fv(points.at("center"), cloud.center);
      gl.uniformMatrix3fv(points.at("rotation"), true, camera.rotation);
      gl.uniform2f(points.at("scale"), (camera.pixels * 2) / width, (camera.pixels * 2) / height);
      gl.uniform2f(points.at("shift"), (camera.shift[0] * 2) / width, (-camera.shift[1] * 2) / height);
      gl.uniform1f(points.at("distance"), DISTANCE);
      gl.uniform1f(points.at("dot_size"), camera.dot * camera.pixels);
      gl.uniform1i(points.at("palette"), 0);
      gl.drawArrays(gl.POINTS, 0, cloud.count);

      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.disable(gl.DEPTH_TEST);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.useProgram(shade.made);
      gl.bindVertexArray(empty);
      gl.uniform1i(shade.at("colors"), 1);
      gl.uniform1i(shade.at("depths"), 2);
      gl.uniform1f(shade.at("distance"), DISTANCE);
      gl.uniform1f(shade.at("reach"), camera.reach);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    };
  }

  function softwareRenderer(canvas) {
    const context = canvas.getContext("2d");
    let image = null;
    let depths = null;
    return (cloud, camera, table) => {
      const { width, height } = canvas;
      if (!image || image.width !== width || image.height !== height) {
        image = context.createImageData(width, height);
        depths = new Float32Array(width * height);
      }
      const colors = new Uint32Array(image.data.buffer);
      const swatches = new Uint32Array(table.buffer);
      colors.fill(0);
      depths.fill(DISTANCE + 1);
      const [r0, r1, r2, r3, r4, r5, r6, r7, r8] = camera.rotation;
      const { positions, scores, center } = cloud;
      for (let i = 0; i < cloud.count; i++) {
        const x = positions[3 * i] / 65535 - center[0];
        const y = positions[3 * i + 1] / 65535 - center[1];
        const z = positions[3 * i + 2] / 65535 - center[2];
        const depth = DISTANCE - (r6 * x + r7 * y + r8 * z);
        const column = width / 2 + camera.shift[0] + ((r0 * x + r1 * y + r2 * z) * camera.pixels) / depth;
        const row = height / 2 + camera.shift[1] - ((r3 * x + r4 * y + r5 * z) * camera.pixels) / depth;
        const half = Math.max((camera.dot * camera.pixels) / depth, 1.5) / 2;
        const left = Math.max(Math.round(column - half), 0);
        const right = Math.min(Math.round(column + half), width);
        const bottom = Math.min(Math.round(row + half), height);
        for (let v = Math.max(Math.round(row - half), 0); v < bottom; v++) {
          for (let u = left, at = v * width + left; u < right; u++, at++) {
            if (depth < depths[at]) {
              depths[at] = depth;
              colors[at] = swatches[scores[i]];
            }
          }
        }
      }
      shadeSoftware(image.data, depths, width, height, camera.reach);
      context.putImageData(image, 0, 0);
    };
  }

  function shadeSoftware(data, depths, width, height, reach) {
    for (let row = 0, at = 0; row < height; row++) {
      const up = Math.min(row, reach) * width;
      const down = Math.min(height - 1 - row, reach) * width;
      for (let column = 0; column < width; column++, at++) {
        if (data[4 * at + 3] === 0) continue;
        const depth = depths[at];
        const hidden =
          Math.max(0, depth - depths[at - up]) + Math.max(0, depth - depths[at + down]) +
          Math.max(0, depth - depths[at - Math.min(column, reach)]) +
          Math.max(0, depth - depths[at + Math.min(width - 1 - column, reach)]);
        if (hidden > 0) {
          const light = Math.max(Math.exp(-14 * hidden), 0.3);
          data[4 * at] *= light;
          data[4 * at + 1] *= light;
          data[4 * at + 2] *= light;
        }
      }
    }
  }

  // ---- camera -----------------------------------------------------------------------------------------------------

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

  function reset() {
    Object.assign(camera, { rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom: 1, offset: [0, 0] });
    turn(0.45, -0.6);
  }

  // ---- page -------------------------------------------------------------------------------------------------------

  const state = { scan: 0, threshold: 0, frame: 0 };
  const spans = { full: () => [0, LEVELS], report: () => levelSpan(scans), scan: () => levelSpan([scans[state.scan]]) };
  const number = (value) => value.toLocaleString("en");
  const score = (value) => value.toFixed(3);
  const length = (value) => Number(value.toPrecision(4)).toString();

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
    paintNumbers();
    redraw();
  }

  function details(scan) {
    const rows = [
      ["Size", `${scan.extents.map(length).join(" × ")} (file's unit)`],
      ["Highest point", `${score(scan.peak.score)} at (${scan.peak.position.map(length).join(", ")}), row ${number(scan.peak.row)}`],
    ];
    if (scan.dropped) rows.push(["Without a value", `${number(scan.dropped)} rows, not scored`]);
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
    for (const button of element("scans").querySelectorAll("button")) {
      button.setAttribute("aria-current", String(Number(button.dataset.index) === index));
    }
    refresh();
  }

  function listScans(order) {
    const indices = scans.map((_, index) => index);
    if (order === "score") indices.sort((a, b) => scans[b].objectScore - scans[a].objectScore);
    const items = indices.map((index) => {
      const scan = scans[index];
      const [item, button, file, value, meter, filled] = ["li", "button", "span", "span", "span", "i"].map((tag) => document.createElement(tag));
      file.textContent = scan.name.split(/[\\/]/).pop();
      file.title = scan.name;
      file.className = "file";
      value.textContent = score(scan.objectScore);
      meter.className = "meter";
      filled.style.width = `${100 * scan.objectScore}%`;
      meter.append(filled);
      button.type = "button";
      button.dataset.index = index;
      button.setAttribute("aria-current", String(index === state.scan));
      button.append(file, value, meter);
      button.addEventListener("click", () => select(index));
      item.append(button);
      return item;
    });
    element("scans").replaceChildren(...items);
    for (const button of element("sorting").children) button.setAttribute("aria-pressed", String(button.dataset.order === order));
  }

  // ---- hands ------------------------------------------------------------------------------------------------------

  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };
  view.addEventListener("pointerdown", (event) => {
    view.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  view.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : 0;
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2) {
      zoom(spread() / before);
      move(dx / 2, dy / 2);
    } else if (event.shiftKey || event.buttons & 6) {
      move(dx, dy);
    } else {
      turn(dy * 0.008, dx * 0.008);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => fingers.delete(event.pointerId));
  view.addEventListener("contextmenu", (event) => event.preventDefault());
  view.addEventListener("dblclick", reset);
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
  }, { passive: false });

  const KEYS = {
    ArrowLeft: () => turn(0, -0.12), ArrowRight: () => turn(0, 0.12), ArrowUp: () => turn(-0.12, 0), ArrowDown: () => turn(0.12, 0),
    "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), 0: reset,
  };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    event.preventDefault();
    act();
  });
  element("threshold").addEventListener("input", (event) => {
    state.threshold = Number(event.target.value);
    refresh();
  });
  element("range").addEventListener("change", refresh);
  element("size").addEventListener("input", redraw);
  for (const button of element("sorting").children) button.addEventListener("click", () => listScans(button.dataset.order));
  window.addEventListener("resize", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

  element("summary").textContent = `${number(scans.length)} ${scans.length === 1 ? "scan" : "scans"} · higher is more anomalous`;
  element("sorting").hidden = scans.length < 2;
  listScans("given");
  reset();
  select(0);
})();
