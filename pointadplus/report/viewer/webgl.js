// Drawing with WebGL 2. software.js is its twin: the same camera and the same shading.

const DISTANCE = 3; // of the eye from the centre, where the cloud's longest side is 1

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
