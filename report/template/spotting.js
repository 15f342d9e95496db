// The page of a spotted video: its timeline, one interval in detail, the list of all.

const data = JSON.parse(document.getElementById("data").textContent);
const { intervals: spotted, timed } = data;
const UNITS = {
  1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser", 7: "lid tightener",
  9: "nose wrinkler", 10: "upper lip raiser", 12: "lip corner puller", 14: "dimpler", 15: "lip corner depressor", 17: "chin raiser",
  20: "lip stretcher", 23: "lip tightener", 24: "lip pressor", 25: "lips part", 26: "jaw drop", 28: "lip suck", 45: "blink",
};
const SIDES = { L: "left ", R: "right " };
const CURVE = data.curve === "motion" ? "motion of the face" : `${data.curve} of an expression`;
const ENDS = ["onset", "apex", "offset"];
const place = (interval, end) => (timed ? interval[`${end}_s`] : interval[end]);
const seconds = (value) => (value === null ? null : `${value.toFixed(2)} s`);
const lasts = (one) => (one.offset_s === null ? null : one.offset_s - one.onset_s);
const unitName = ({ unit, number }) => `AU ${unit} ${SIDES[unit[0]] || ""}${UNITS[number] || ""}`.trim();
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const counts = [...new Set(spotted.map((one) => one.kind))].map((kind) => `${spotted.filter((one) => one.kind === kind).length} ${kind}`);
const found = spotted.length ? counts.join(", ") : "no expression spotted";

const main = timeline({
  curves: data.curves, timed, name: data.curve,
  spans: spotted.map((one) => ({ from: place(one, "onset"), to: place(one, "offset"), apex: place(one, "apex"), kind: kindOf(one), name: one.kind })),
  lost: data.missed.map((one) => ({ from: one.x[0], to: one.x[1] })),
  pick: (i) => choose(i),
  description: `The ${CURVE} over the video, its threshold, ${found}. The intervals are in the table below.`,
});

function facts() {
  const { fps, varies, frames, width, height, analysed_fps } = data.facts;
  const told = [
    plural(frames, "frame"), fps ? `${varies ? "about " : ""}${+fps.toFixed(2)} frames a second${varies ? ", unevenly" : ""}` : null,
    analysed_fps && fps && Math.abs(analysed_fps - fps) > 0.01 ? `looked at ${+analysed_fps.toFixed(2)} a second` : null,
    width ? `${width} × ${height} pixels` : null, found,
    data.missed.length ? `${data.missed.length} stretch${data.missed.length === 1 ? "" : "es"} not looked at` : null,
  ];
  return told.filter(Boolean).map((text) => el("li", {}, text));
}

// The lines of a face that is nobody's.
function outline(height) {
  const path = data.face.lines.map((line) => `M${line.map(([x, y]) => `${(100 * x).toFixed(1)} ${(height * y).toFixed(1)}`).join("L")}`).join("");
  return svg("path", { class: "outline", d: path });
}

function blank(label, ...inside) {
  const height = 100 * data.face.aspect;
  return svg("svg", { viewBox: `-6 -12 112 ${(height + 18).toFixed(0)}`, role: "img", "aria-label": label }, ...inside, outline(height));
}

// Arrows of a motion map, each the mean of 2 x 2 cells, over cells as dark as their strain.
function field(flow, label) {
  const [side, height] = [28, 100 * data.face.aspect];
  const [u, v] = [flow.u, flow.v].map((text) => decode(text, Int8Array));
  const strain = decode(flow.strain, Uint8Array);
  const [wide, tall] = [100 / side, height / side];
  const levels = [[], [], [], []];
  strain.forEach((value, i) => {
    const level = Math.min(Math.floor(value / 52) - 1, 3);
    if (level >= 0) levels[level].push(`M${((i % side) * wide).toFixed(1)} ${(Math.floor(i / side) * tall).toFixed(1)}h${wide.toFixed(2)}v${tall.toFixed(2)}h-${wide.toFixed(2)}z`);
  });
  let arrows = "";
  for (let row = 0; row < side; row += 2) {
    for (let column = 0; column < side; column += 2) {
      const at = row * side + column;
      const [dx, dy] = [u, v].map((part) => ((part[at] + part[at + 1] + part[at + side] + part[at + side + 1]) / 4 / 127) * 10);
      const length = Math.hypot(dx, dy);
      if (length < 1) continue; // a tenth of the longest: not to be seen
      const [x, y] = [(column + 1) * wide, (row + 1) * tall];
      const barb = Math.min(2.4, 0.5 * length) / length;
      const half = (turn) => `M${(x + dx).toFixed(1)} ${(y + dy).toFixed(1)}l${(-barb * (dx + turn * 0.6 * dy)).toFixed(1)} ${(-barb * (dy - turn * 0.6 * dx)).toFixed(1)}`;
      arrows += `M${x.toFixed(1)} ${y.toFixed(1)}L${(x + dx).toFixed(1)} ${(y + dy).toFixed(1)}${half(1)}${half(-1)}`;
    }
  }
  const patches = levels.map((cells, k) => svg("path", { class: "strain", opacity: 0.12 + 0.1 * k, d: cells.join("") }));
  return blank(label, ...patches, svg("path", { class: "arrows", d: arrows }));
}

function card(shown, title, small, kind = "") {
  return el("figure", { class: kind || null }, el("div", { class: "shown" }, shown), el("figcaption", {}, title, el("small", {}, small)));
}

function frameCard(one, i) {
  const end = ENDS[i];
  const when = [`frame ${one[end]}`, seconds(one[`${end}_s`])].filter(Boolean).join(", ");
  const src = one.pictures[i]; // undefined where there are none
  const picture = src ? el("img", { src, alt: `the face at the ${end}` }) : blank(`no picture of the ${end}: a blank face`);
  return card(picture, end, src ? when : `${when}; frames with --thumbnails`);
}

function strip(one) {
  const motion = one.flow
    ? card(field(one.flow, "Motion from onset to apex, as arrows"), "onset to apex", `motion, up to ${(100 * one.flow.most).toFixed(1)}% of the face's width; shaded: strain`)
    : card(blank("no motion map"), "onset to apex", "no motion map was kept");
  const { times, unshown, millimetres } = one.head;
  const own = millimetres !== undefined;
  const whose = own ? "the person's head as reconstructed" : `a generic head that moves as ${one.units.map(unitName).join(", ") || "nothing"}`;
  const head = el("img", { src: one.head.src, width: 400, height: 200, alt: whose });
  const larger = times > 1 ? `, drawn ${times} times as strong` : "";
  const left = unshown && unshown.length ? `; not shown: AU ${unshown.join(", ")}` : "";
  const generic = one.units.length ? `the units on a generic head${larger}; orange: where it moves${left}` : "no unit is told; a generic head at rest";
  const shown = own ? `the person's, reconstructed; orange: where it moved since the onset, by up to ${millimetres.toFixed(1)} mm` : generic;
  return el("div", { class: "strip" }, frameCard(one, 0), motion, frameCard(one, 1), card(head, "the head at the apex", shown, "head"), frameCard(one, 2));
}

function bars(title, rows, none) {
  const most = Math.max(...rows.map(([, value]) => value));
  const list = el("dl", { class: "bars" }, ...rows.map(([name, value]) => {
    const fill = el("span");
    fill.style.setProperty("--share", Math.min(Math.max(value, 0), 1).toFixed(3));
    return el("div", { class: value === most ? "most" : null }, el("dt", {}, name), el("dd", { class: "track", "aria-hidden": "true" }, fill), el("dd", {}, value.toFixed(2)));
  }));
  return el("div", {}, el("h3", {}, title), rows.length ? list : el("p", { class: "note" }, none));
}

let chosen = 0;
const status = el("span", { role: "status", class: "count" });
const steps = [[-1, "← Previous"], [1, "Next →"]].map(([by, text]) => el("button", { type: "button", click: () => choose(chosen + by) }, text));

function choose(i, event) {
  if (i < 0 || i >= spotted.length) return;
  chosen = i;
  const one = spotted[i];
  const fact = (name, value) => (value === null || value === undefined ? null : el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  document.getElementById("interval-title").textContent = `Interval ${i + 1}: ${[one.kind, one.label].filter(Boolean).join(", ")}`;
  status.textContent = `${i + 1} of ${spotted.length}`;
  steps[0].disabled = i === 0;
  steps[1].disabled = i === spotted.length - 1;
  const span = lasts(one);
  document.getElementById("interval").replaceChildren(
    el("dl", { class: "told" },
      fact("frames", `${one.onset}, ${one.apex}, ${one.offset}`),
      fact("begins", seconds(one.onset_s)),
      fact("lasts", span === null ? null : span < 1 ? `${Math.round(1000 * span)} ms` : `${span.toFixed(2)} s`),
      fact("confidence", one.confidence === null ? null : number(one.confidence, 2))),
    strip(one),
    el("div", { class: "halves" },
      bars("Classes", Object.entries(one.classes), "No class is told."),
      bars("Action units", one.units.map((unit) => [unitName(unit), unit.strength]), "No action unit is told.")),
  );
  main.show(i);
  if (event !== "start") history.replaceState(null, "", `#interval=${i + 1}`);
}

function list() {
  const time = (end) => ({ label: end, numeric: true, value: (one) => one[end], show: (one) => el("span", {}, `${one[end]} `, el("small", {}, seconds(one[`${end}_s`]) || "")) });
  const rows = spotted.map((one, i) => ({ ...one, i }));
  return sortableTable({
    caption: "Every interval, in the order of the video", noun: "interval", rows, limit: 50,
    text: (one) => `${one.kind} ${one.label || ""} ${one.units.map((unit) => `AU ${unit.unit} AU${unit.unit}`).join(" ")}`,
    columns: [
      { label: "interval", numeric: true, value: (one) => one.i, show: (one) => el("button", { type: "button", class: "open", click: () => (choose(one.i), document.getElementById("interval-title").focus()) }, `${one.i + 1}: ${one.kind}`) },
      time("onset"), time("apex"), time("offset"),
      { label: "lasts", numeric: true, value: lasts, show: (one) => (lasts(one) === null ? "–" : `${lasts(one).toFixed(2)} s`) },
      { label: "class", kind: "headline", value: (one) => one.label || "–" },
      { label: "confidence", numeric: true, value: (one) => one.confidence, show: (one) => number(one.confidence, 2) },
      { label: "units", value: (one) => one.units.map((unit) => unit.unit).join(" "), show: (one) => one.units.map((unit) => unit.unit).join(", ") || "–" },
    ],
    filters: counts.length > 1 ? [{ label: "Kind", options: [["all", () => true], ...[...new Set(rows.map((one) => one.kind))].map((kind) => [kind, (one) => one.kind === kind])] }] : [],
  }).element;
}

function missed() {
  if (!data.missed.length) return null;
  const lines = data.missed.map(({ from, to, why }) => el("li", {}, `frames ${from} to ${to}: ${why}`));
  return el("details", {}, el("summary", {}, "What was not looked at"), el("ul", {}, ...lines));
}

const legend = el("ul", { class: "legend" },
  ...[...new Set(spotted.map(kindOf))].map((kind) => el("li", {}, el("i", { class: kind }), kind)),
  data.missed.length ? el("li", {}, el("i", { class: "missed" }), "not looked at") : null,
  el("li", {}, `line: ${CURVE}; dashed: threshold; below: action units, the darker the stronger`));
const key = (name) => el("kbd", {}, name);
const keys = el("p", { class: "note keys" }, "Keys: ", key("←"), " ", key("→"), " previous and next interval, ", key("+"), " ", key("−"), " or Ctrl and wheel zoom, ", key("0"), " the whole video.");

document.title = `${data.video}: DSNCA spotting`;
document.getElementById("title").textContent = data.video;
document.getElementById("facts").replaceChildren(...facts());
document.getElementById("timeline").replaceChildren(legend, main.element, keys);
if (spotted.length) {
  document.getElementById("steps").replaceChildren(...steps, status);
  document.getElementById("list").replaceChildren(list());
} else {
  document.getElementById("chosen").hidden = true;
  document.getElementById("list").replaceChildren(el("p", { class: "note" }, "No expression was spotted in this video."));
}
document.getElementById("missed").replaceChildren(...[missed()].filter(Boolean));

const KEYS = { ArrowLeft: () => choose(chosen - 1), ArrowRight: () => choose(chosen + 1), "+": () => main.zoom(0.5), "=": () => main.zoom(0.5), "-": () => main.zoom(2), 0: () => main.whole() };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (KEYS[event.key]) {
    KEYS[event.key]();
    event.preventDefault();
  }
});
function route(event) {
  const wanted = parseInt(new URLSearchParams(location.hash.slice(1)).get("interval"), 10) - 1;
  choose(wanted >= 0 && wanted < spotted.length ? wanted : 0, event);
}
window.addEventListener("hashchange", () => route());
route("start");
