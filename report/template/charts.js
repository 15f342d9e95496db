// Line charts as inline SVG, drawn at the size they are shown at.

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// lines: {name, values (null where there is none), kind: CSS classes, legend: false to leave it out}.
// levels: {y, label, kind}, across the chart; marks: {x, y, kind, label}; moments: {x, label}, upright.
// low, high: what the y axis at least spans. readout(i): what is said of the i-th x under the pointer.
function lineChart({ title, description, x, lines, levels = [], marks = [], moments = [], low = 0, high = 0, readout }) {
  const values = [...lines.flatMap((line) => line.values), ...levels.map((level) => level.y)].filter((v) => v !== null);
  const bottom = Math.min(low, ...values);
  const top = Math.max(high, ...values.map((v) => v * 1.02), bottom + 1e-6);
  const say = el("p", { class: "readout", "aria-hidden": "true" });
  const frame = el("div", { class: "chart" });
  const named = lines.filter((line) => line.name);
  const legend = el(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    ...named.map((line) => el("li", {}, swatch(line.kind), line.name)),
  );

  function draw(width) {
    const height = Math.round(Math.min(300, Math.max(200, 0.58 * width)));
    const edge = { left: 36, right: 12, top: 10, bottom: 38 };
    const span = Math.max(x[x.length - 1] - x[0], 1);
    const px = (value) =>
      x.length === 1 ? (width + edge.left) / 2 : edge.left + ((value - x[0]) / span) * (width - edge.left - edge.right);
    const py = (value) => edge.top + ((top - value) / (top - bottom)) * (height - edge.top - edge.bottom);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}. ${description}` });
    for (const tick of ticks(bottom, top, 5)) {
      picture.append(
        svg("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: py(tick), y2: py(tick) }),
        svg("text", { class: "tick", x: edge.left - 6, y: py(tick) + 4, "text-anchor": "end" }, String(+tick.toFixed(4))),
      );
    }
    for (const tick of ticks(x[0], x[x.length - 1], width < 420 ? 5 : 8).filter(Number.isInteger)) {
      picture.append(svg("text", { class: "tick", x: px(tick), y: height - 20, "text-anchor": "middle" }, String(tick)));
    }
    picture.append(svg("text", { class: "tick", x: width - edge.right, y: height - 4, "text-anchor": "end" }, "epoch"));
    moments.forEach((moment, i) => {
      const right = px(moment.x) > width / 2;
      picture.append(
        svg("line", { class: `moment ${moment.kind}`, x1: px(moment.x), x2: px(moment.x), y1: edge.top, y2: height - edge.bottom }),
        svg("text", { class: `label ${moment.kind}`, x: px(moment.x) + (right ? -4 : 4), y: edge.top + 10 + 14 * i, "text-anchor": right ? "end" : "start" }, moment.label),
      );
    });
    for (const line of lines) {
      const points = line.values.map((v, i) => (v === null ? null : `${px(x[i]).toFixed(1)} ${py(v).toFixed(1)}`)).filter(Boolean);
      if (points.length === 1) {
        const [cx, cy] = points[0].split(" ");
        picture.append(svg("circle", { class: `dot ${line.kind}`, cx, cy, r: line.name ? 4.5 : 2.5 }));
      } else if (points.length) picture.append(svg("path", { class: `line ${line.kind}`, d: `M${points.join("L")}` }));
    }
    for (const level of levels) {
      picture.append(
        svg("line", { class: `level ${level.kind}`, x1: edge.left, x2: width - edge.right, y1: py(level.y), y2: py(level.y) }),
        svg("text", { class: `label ${level.kind}`, x: edge.left + 6, y: py(level.y) - 6 }, level.label),
      );
    }
    for (const mark of marks) {
      picture.append(symbol(mark.kind, px(mark.x), py(mark.y)));
      if (mark.label) {
        const at = { class: `label ${mark.kind}`, x: Math.min(px(mark.x) + 6, width - edge.right), y: py(mark.y) + 20, "text-anchor": "end" };
        picture.append(svg("text", at, mark.label));
      }
    }
    const hair = svg("line", { class: "hair", y1: edge.top, y2: height - edge.bottom, visibility: "hidden" });
    picture.append(hair);
    const rest = () => (hair.setAttribute("visibility", "hidden"), (say.textContent = ""));
    picture.addEventListener("pointerleave", rest);
    picture.addEventListener("pointermove", (event) => {
      const at = event.clientX - picture.getBoundingClientRect().left;
      const gaps = x.map((value) => Math.abs(px(value) - at));
      const i = gaps.indexOf(Math.min(...gaps));
      for (const end of ["x1", "x2"]) hair.setAttribute(end, px(x[i]));
      hair.setAttribute("visibility", "visible");
      say.textContent = `epoch ${x[i]}: ${readout(i)}`;
    });
    frame.replaceChildren(picture);
  }

  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== drawn) draw((drawn = width));
  }).observe(frame);
  return el("figure", { class: "plot" }, el("figcaption", {}, title), legend, frame, say);
}

function swatch(kind) {
  const at = { viewBox: "0 0 26 10", width: 26, height: 10 };
  if (kind.includes("mark")) return svg("svg", at, symbol(kind, 13, 5));
  return svg("svg", at, svg("path", { class: `line ${kind}`, d: "M1 5H25" }));
}

function symbol(kind, x, y, r = 4.5) {
  if (kind.includes("last")) return svg("circle", { class: kind, cx: x, cy: y, r: r + 0.5 });
  return svg("path", { class: kind, d: `M${x} ${y - r}l${r} ${r}l-${r} ${r}l-${r} -${r}z` });
}

// Round numbers between two values, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9; k++) found.push(k * step);
  return found;
}

// UF1 with its 95% interval on an axis from 0 to 1, under both protocols.
function intervals(last, best) {
  const picture = svg("svg", { class: "intervals", viewBox: "0 0 132 26", width: 132, height: 26, "aria-hidden": "true" });
  const px = (value) => 4 + 124 * value;
  for (const tick of [0, 0.5, 1]) picture.append(svg("line", { class: "grid", x1: px(tick), x2: px(tick), y1: 1, y2: 25 }));
  for (const [score, kind, y] of [[last, "mark last", 8], [best, "mark best", 19]]) {
    picture.append(
      svg("line", { class: `interval ${kind}`, x1: px(score.uf1_low), x2: px(score.uf1_high), y1: y, y2: y }),
      symbol(kind, px(score.uf1), y, 3.5),
    );
  }
  return picture;
}

