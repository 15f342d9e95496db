// The curves of a whole video on a canvas: zoom by buttons, keys, Ctrl and wheel or two fingers, drag to move.

function decode(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

// [start, step] of values that rise evenly, or all of them in base64.
function evenly(values, count, Kind) {
  return typeof values === "string" ? decode(values, Kind) : Float64Array.from({ length: count }, (_, i) => values[0] + i * values[1]);
}

// The first place in rising values that is not below one.
function placeOf(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const NOTHING = 65535;
const LANE = 15;
const GAP = 6; // between the curve and the lanes
const EDGE = { left: 44, right: 10, top: 16, bottom: 24 };
const KINDS = ["micro", "macro"];
const kindOf = (interval) => (KINDS.includes(interval.kind) ? interval.kind : "other");

// Times that people count in, about `count` of them.
function moments(from, to, count) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((seconds) => seconds * count >= to - from);
  if (!step || to - from < 2) return ticks(from, to, count);
  return Array.from({ length: Math.floor(to / step) - Math.ceil(from / step) + 1 }, (_, i) => (Math.ceil(from / step) + i) * step);
}

// curves: as report/spotting/content.py has them; spans: [{from, to, apex, kind}], lost: [{from, to}], all in x.
// name: what the curve is of; pick(i): a span was clicked on. Returns {element, show(i): mark a span and bring it into view, zoom, whole}.
function timeline({ curves, name, spans, lost, timed, pick, description }) {
  const count = curves.count;
  const x = evenly(curves.x, count, Float64Array);
  const low = decode(curves.low, Uint16Array);
  const high = curves.high ? decode(curves.high, Uint16Array) : low;
  const threshold = decode(curves.threshold, Uint16Array);
  const lanes = Object.entries(curves.lanes).map(([name, values]) => [name, decode(values, Uint8Array)]);
  const [first, last] = [x[0], Math.max(curves.end, x[0] + (timed ? 0.04 : 1))];
  const least = Math.min((last - first) / 2, timed ? 0.5 : 15);
  let view = [first, last];
  let chosen = -1;

  const main = el("canvas", { class: "main", role: "img", "aria-label": description });
  const whole = el("canvas", { class: "whole", "aria-hidden": "true" });
  const say = el("p", { class: "readout", "aria-hidden": "true" });
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const clock = (value) => {
    if (!timed) return String(Math.round(value));
    const [minutes, seconds] = [Math.floor(value / 60), value % 60];
    const digits = view[1] - view[0] < 8 ? 1 : 0;
    return minutes || last > 60 ? `${minutes}:${seconds.toFixed(digits).padStart(digits ? 4 : 2, "0")}` : `${seconds.toFixed(digits)} s`;
  };

  function pen(canvas, height) {
    const width = canvas.clientWidth;
    const dots = window.devicePixelRatio || 1;
    canvas.style.setProperty("height", `${height}px`);
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const context = canvas.getContext("2d");
    context.scale(dots, dots);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    return [context, width];
  }

  // A curve from lows and highs; where points are closer than pixels, a column's lows and highs.
  function trace(context, lows, highs, px, py, width) {
    const [from, to] = [Math.max(placeOf(x, view[0]) - 1, 0), Math.min(placeOf(x, view[1]) + 1, count)];
    const dense = to - from > 1.5 * width;
    let joined = false; // with what was drawn before
    let column = null; // [x, lowest, highest, last]
    const flush = () => {
      if (column) {
        context[joined ? "lineTo" : "moveTo"](column[0], py(column[1]));
        context.lineTo(column[0], py(column[2]));
        context.lineTo(column[0], py(column[3]));
        joined = true;
      }
      column = null;
    };
    context.beginPath();
    for (let i = from; i < to; i++) {
      if (lows[i] === NOTHING) {
        flush();
        joined = false;
        continue;
      }
      const at = dense ? Math.round(px(x[i])) : px(x[i]);
      if (column && column[0] === at) column = [at, Math.min(column[1], lows[i]), Math.max(column[2], highs[i]), lows[i]];
      else {
        flush();
        column = [at, lows[i], highs[i], lows[i]];
      }
    }
    flush();
    context.stroke();
  }

  function drawMain() {
    const below = EDGE.bottom + (lanes.length ? GAP + lanes.length * LANE : 0);
    const height = 180 + below;
    const [context, width] = pen(main, height);
    const [left, right, top, bottom] = [EDGE.left, width - EDGE.right, EDGE.top, height - below];
    const px = (value) => left + ((value - view[0]) / (view[1] - view[0])) * (right - left);
    const py = (value) => bottom - (value / (NOTHING - 1)) * (bottom - top);
    const ink = { text: colour("text"), muted: colour("muted"), line: colour("line") };
    context.strokeStyle = ink.line;
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    for (const tick of timed ? moments(view[0], view[1], width < 500 ? 4 : 8) : ticks(view[0], view[1], 5)) {
      context.beginPath();
      context.moveTo(px(tick), top);
      context.lineTo(px(tick), height - EDGE.bottom);
      context.stroke();
      context.fillText(clock(tick), Math.min(Math.max(px(tick), left + 8), right - 14), height - 7);
    }
    context.textAlign = "right";
    for (const tick of ticks(0, curves.top, 3)) context.fillText(String(+tick.toPrecision(3)), left - 5, bottom - (tick / curves.top) * (bottom - top) + 4);
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    context.fillStyle = ink.muted;
    context.globalAlpha = 0.22;
    for (const one of lost) context.fillRect(px(one.from), top, Math.max(px(one.to) - px(one.from), 1), bottom - top);
    spans.forEach((span, i) => {
      if (span.to < view[0] || span.from > view[1]) return;
      const [from, wide] = [px(span.from), Math.max(px(span.to) - px(span.from), 2)];
      context.fillStyle = context.strokeStyle = colour(span.kind);
      context.globalAlpha = i === chosen ? 0.5 : 0.28;
      context.fillRect(from, top, wide, bottom - top);
      context.globalAlpha = 1;
      context.fillRect(from, top - 3, wide, 3);
      context.lineWidth = i === chosen ? 2.5 : 1;
      context.beginPath();
      context.moveTo(px(span.apex), top);
      context.lineTo(px(span.apex), bottom);
      context.stroke();
      if (i === chosen) context.strokeRect(from - 1, top - 3, wide + 2, bottom - top + 3);
      if (wide > 34 || i === chosen) {
        context.fillStyle = ink.text;
        context.textAlign = "left";
        context.fillText(span.name, Math.min(Math.max(from, left), right - 40), top - 5);
      }
    });
    context.lineWidth = 1;
    context.strokeStyle = ink.muted;
    context.setLineDash([5, 4]);
    trace(context, threshold, threshold, px, py, right - left);
    context.setLineDash([]);
    context.lineWidth = 1.5;
    context.strokeStyle = ink.text;
    trace(context, low, high, px, py, right - left);
    lanes.forEach(([, values], k) => drawLane(context, values, bottom + GAP + 2 + k * LANE, px, left, right));
    context.restore();
    context.fillStyle = ink.muted;
    context.textAlign = "right";
    lanes.forEach(([name], k) => context.fillText(name, left - 4, bottom + GAP + 12 + k * LANE));
  }

  // A unit's strength as how opaque a column is: the strongest of those in it.
  function drawLane(context, values, y, px, left, right) {
    context.fillStyle = colour("blue");
    let before = Math.max(placeOf(x, view[0]) - 1, 0);
    const perBin = curves.lane_step / curves.step;
    for (let column = left; column < right; column++) {
      const until = placeOf(x, view[0] + ((column + 1 - left) / (right - left)) * (view[1] - view[0]));
      const [from, to] = [Math.floor(before / perBin), Math.max(Math.ceil(until / perBin), Math.floor(before / perBin) + 1)];
      let most = 0;
      for (let i = from; i < to && i < values.length; i++) most = Math.max(most, values[i]);
      if (most > 12) {
        context.globalAlpha = Math.min(1, (most / 180) ** 1.3); // in full from 0.7 on
        context.fillRect(column, y, 1, LANE - 4);
      }
      before = Math.max(until - 1, 0);
    }
    context.globalAlpha = 1;
  }

  function drawWhole() {
    const [context, width] = pen(whole, 36);
    const px = (value) => ((value - first) / (last - first)) * width;
    context.fillStyle = colour("muted");
    context.globalAlpha = 0.3;
    for (const one of lost) context.fillRect(px(one.from), 0, Math.max(px(one.to) - px(one.from), 1), 36);
    context.globalAlpha = 1;
    spans.forEach((span, i) => {
      context.fillStyle = colour(span.kind);
      const half = i === chosen ? 0 : 8;
      context.fillRect(px(span.from), half, Math.max(px(span.to) - px(span.from), 2), 36 - 2 * half);
    });
    context.strokeStyle = colour("text");
    context.lineWidth = 2;
    context.strokeRect(px(view[0]) + 1, 1, Math.max(px(view[1]) - px(view[0]) - 2, 2), 34);
  }

  let waiting = 0;
  function draw() {
    if (!waiting) waiting = requestAnimationFrame(() => ((waiting = 0), main.clientWidth && (drawMain(), drawWhole())));
  }

  function look(from, to) {
    const span = Math.min(Math.max(to - from, least), last - first);
    const start = Math.min(Math.max((from + to - span) / 2, first), last - span);
    view = [start, start + span];
    draw();
  }

  const valueAt = (clientX) => {
    const box = main.getBoundingClientRect();
    const share = (clientX - box.left - EDGE.left) / (box.width - EDGE.left - EDGE.right);
    return view[0] + Math.min(Math.max(share, 0), 1) * (view[1] - view[0]);
  };
  function zoom(factor, around = (view[0] + view[1]) / 2) {
    look(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
  }
  // Of spans under a place the one whose apex is nearest; a narrow one can be hit beside.
  function hit(value) {
    const near = (6 / main.clientWidth) * (view[1] - view[0]);
    const under = spans.flatMap((span, i) => (value >= span.from - near && value <= span.to + near ? [i] : []));
    return under.sort((a, b) => Math.abs(spans[a].apex - value) - Math.abs(spans[b].apex - value))[0] ?? -1;
  }

  const fingers = new Map();
  let moved = 0;
  main.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoom(1.0015 ** event.deltaY, valueAt(event.clientX));
  }, { passive: false });
  main.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event.clientX);
    moved = 0;
    main.setPointerCapture(event.pointerId);
  });
  main.addEventListener("pointermove", (event) => {
    tell(valueAt(event.clientX));
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    const wide = main.clientWidth - EDGE.left - EDGE.right;
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    moved += Math.abs(event.clientX - before);
    if (others.length) {
      const [old, now] = [Math.abs(before - others[0]), Math.abs(event.clientX - others[0])];
      zoom(Math.max(old, 20) / Math.max(now, 20), valueAt((event.clientX + others[0]) / 2));
    } else if (moved > 4) {
      const shift = ((before - event.clientX) / wide) * (view[1] - view[0]);
      const start = Math.min(Math.max(view[0] + shift, first), last - (view[1] - view[0]));
      view = [start, start + view[1] - view[0]];
      draw();
    }
    fingers.set(event.pointerId, event.clientX);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    main.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      if (end === "pointerup" && moved <= 4) {
        const i = hit(valueAt(event.clientX));
        if (i >= 0) pick(i);
      }
    });
  }
  main.addEventListener("pointerleave", () => (say.textContent = ""));
  whole.addEventListener("click", (event) => {
    const box = whole.getBoundingClientRect();
    const at = first + ((event.clientX - box.left) / box.width) * (last - first);
    look(at - (view[1] - view[0]) / 2, at + (view[1] - view[0]) / 2);
  });

  const frames = evenly(curves.frames, count, Int32Array);
  function tell(value) {
    const after = Math.min(placeOf(x, value), count - 1);
    const i = after > 0 && value - x[after - 1] < x[after] - value ? after - 1 : after;
    const motion = high[i] === NOTHING ? "no face" : `${name} ${((high[i] / (NOTHING - 1)) * curves.top).toPrecision(3)}`;
    const shown = lanes.map(([name, values]) => [name, values[Math.min(Math.floor((i * curves.step) / curves.lane_step), values.length - 1)] / 255]).filter(([, s]) => s >= 0.1);
    say.textContent = [`frame ${frames[i]}`, timed ? `${x[i].toFixed(2)} s` : null, motion, ...shown.map(([name, s]) => `${name} ${s.toFixed(2)}`)].filter(Boolean).join(", ");
  }

  const button = (text, label, click) => el("button", { type: "button", "aria-label": label, click }, text);
  const move = (share) => look(view[0] + share * (view[1] - view[0]), view[1] + share * (view[1] - view[0]));
  const tools = el("div", { class: "tools" },
    button("+", "Zoom in", () => zoom(0.5)), button("−", "Zoom out", () => zoom(2)), button("All", "Whole video", () => look(first, last)),
    button("◀", "Earlier", () => move(-0.5)), button("▶", "Later", () => move(0.5)));

  new ResizeObserver(draw).observe(main);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  function show(i) {
    chosen = i;
    const { from, to } = spans[i];
    const margin = 0.1 * (view[1] - view[0]);
    if (from < view[0] + margin || to > view[1] - margin) {
      const half = Math.max(view[1] - view[0], 1.5 * (to - from)) / 2;
      look((from + to) / 2 - half, (from + to) / 2 + half);
    } else draw();
  }
  return { element: el("div", { class: "timeline" }, tools, main, whole, say), show, zoom, whole: () => look(first, last), view: () => view };
}
