// The page: the table of experiments, one experiment in detail, a clip in a dialog.

const data = JSON.parse(document.getElementById("data").textContent);
const picker = document.getElementById("experiment");
const dialog = document.getElementById("clip");

// A table's lines with their scores under every protocol: one row an experiment and a dataset or group.
function scoreRows(table, by) {
  const rows = new Map();
  table.experiment.forEach((experiment, i) => {
    const key = JSON.stringify([experiment, table[by][i]]);
    if (!rows.has(key)) rows.set(key, { experiment, [by]: table[by][i] });
    rows.get(key)[table.protocol[i]] = Object.fromEntries(Object.keys(table).map((name) => [name, table[name][i]]));
  });
  return [...rows.values()];
}

const scores = scoreRows(data.summary, "data");
const groups = scoreRows(data.groups, "group");
const byName = new Map(data.experiments.map((experiment) => [experiment.name, experiment]));
const GROUPS = { glasses: "with glasses", "no glasses": "without" };
const address = (name) => `#${new URLSearchParams({ experiment: name })}`;
const datasetsOf = (row) => Object.keys(byName.get(row.experiment).confusion).slice(1); // the first is full
const shown = (row) => (datasetsOf(row).length > 1 ? row.data : datasetsOf(row)[0]);
// A name may break at its underscores.
const breakable = (name) => name.split("_").flatMap((part, i) => (i ? ["_", el("wbr"), part] : [part]));

function withInterval(score, name) {
  const [low, high] = [score[`${name}_low`], score[`${name}_high`]].map((value) => value.toFixed(2));
  const spread = score.seeds > 1 ? [el("small", {}, `±${score[`${name}_sd`].toFixed(3)}, ${score.seeds} seeds`)] : [];
  const chance = name === "uf1" && "chance" in score ? [el("small", {}, `chance ${number(score.chance)}`)] : [];
  return el("span", {}, number(score[name]), " ", el("small", {}, `${low}–${high}`), ...spread, ...chance);
}

const NESTED = data.summary.protocol.includes("nested");
const nestedColumn = (label, name) => ({
  label, numeric: true, value: (r) => (r.nested ? r.nested[name] : null), show: (r) => (r.nested ? withInterval(r.nested, name) : "–"),
});
const scoreColumns = [
  { label: "UF1 last", numeric: true, kind: "headline", value: (r) => r.last.uf1, show: (r) => withInterval(r.last, "uf1") },
  { label: "UAR last", numeric: true, value: (r) => r.last.uar, show: (r) => withInterval(r.last, "uar") },
  { label: "accuracy last", numeric: true, value: (r) => r.last.accuracy, show: (r) => withInterval(r.last, "accuracy") },
  { label: "UF1, 95%", numeric: true, kind: "drawn", value: (r) => r.last.uf1_low, show: (r) => intervals(r.last, r.best) },
  ...(NESTED ? [nestedColumn("UF1 nested", "uf1"), nestedColumn("UAR nested", "uar"), nestedColumn("accuracy nested", "accuracy")] : []),
  { label: "UF1 best\u00a0†", numeric: true, kind: "best", value: (r) => r.best.uf1, show: (r) => withInterval(r.best, "uf1") },
  { label: "UAR best\u00a0†", numeric: true, kind: "best", value: (r) => r.best.uar, show: (r) => withInterval(r.best, "uar") },
  { label: "accuracy best\u00a0†", numeric: true, kind: "best", value: (r) => r.best.accuracy, show: (r) => withInterval(r.best, "accuracy") },
  {
    label: "†\u00a0adds", numeric: true, kind: "best", value: (r) => r.best.uf1 - r.last.uf1,
    show: (r) => (r.best.uf1 < r.last.uf1 ? "" : "+") + number(r.best.uf1 - r.last.uf1),
  },
];
// Only where runs differ in what a fold holds out.
const splitColumns = data.summary.split.every((split) => split === "loso") ? [] : [{ label: "split", value: (r) => r.last.split }];

function subjects(row) {
  const { expected } = byName.get(row.experiment);
  if (row.data !== "full" || row.last.subjects >= expected) return String(row.last.subjects);
  return el("span", {}, `${row.last.subjects} of ${expected} `, el("span", { class: "tag" }, "partial"));
}

const sizeColumns = [
  { label: "clips", numeric: true, value: (r) => r.last.clips },
  { label: "subjects", numeric: true, value: (r) => r.last.subjects, show: subjects },
];

const experimentColumn = {
  label: "experiment", value: (r) => r.experiment,
  show: (r) => el("a", { href: address(r.experiment) }, ...breakable(r.experiment)),
};

function showCompare() {
  const rows = scores.filter((row) => row.data === "full" || datasetsOf(row).length > 1);
  const datasets = [...new Set(data.summary.data)].filter((name) => name !== "full").sort();
  const options = [
    ["whole experiments", (row) => row.data === "full"],
    ...datasets.map((name) => [name, (row) => shown(row) === name]),
    ["every row", () => true],
  ];
  const table = sortableTable({
    caption: "Scores of every experiment, with 95% intervals (bootstrap over subjects)", noun: "row", rows,
    columns: [experimentColumn, { label: "data", value: shown }, ...sizeColumns, ...scoreColumns, ...splitColumns],
    text: (r) => `${r.experiment} ${r.data}`,
    filters: datasets.length > 1 ? [{ label: "Data", options }] : [],
    sort: [4, -1],
  });
  document.getElementById("compare").replaceChildren(table.element);
}

// Held-out subjects with glasses beside the rest, where there are both.
function showGroups() {
  if (new Set(data.groups.group).size < 2) return;
  const table = sortableTable({
    caption: "By glasses of the held-out subject; a network trained on one group stands in that alone", noun: "row", rows: groups,
    columns: [experimentColumn, { label: "subjects are", value: (r) => GROUPS[r.group] }, ...sizeColumns, ...scoreColumns],
    text: (r) => `${r.experiment} ${GROUPS[r.group]}`,
    filters: [{ label: "Subjects", options: [["all", () => true], ...Object.entries(GROUPS).map(([group, name]) => [name, (r) => r.group === group])] }],
  });
  document.getElementById("groups").replaceChildren(el("h3", {}, "With glasses and without"), table.element);
}

function showExperiment(experiment) {
  picker.value = experiment.name;
  const { made, curves, attention } = experiment;
  const [full] = scores.filter((row) => row.experiment === experiment.name && row.data === "full");
  const parts = Object.keys(experiment.confusion).slice(1);
  const facts = [
    `${full.last.clips} clips of ${full.last.subjects} subjects (${parts.join(", ")})`,
    `classes: ${experiment.classes.join(", ")}`,
    `${curves.epochs.length} epoch${curves.epochs.length === 1 ? "" : "s"}`,
    ...(experiment.split === "loso" ? [] : [`split: ${experiment.split}`]),
    ...(experiment.seeds.length > 1 ? [`scores are means over the seeds ${experiment.seeds.join(", ")}; what follows is of seed ${experiment.seeds[0]}`] : []),
    `${Math.round(made.seconds)} s of training${made.device ? ` on ${made.device}` : ""}`,
    ...attention.map((a) => `${percent(a.heat_in_cells)} of the heat on the face (${a.stream}) in the ten cells, ${percent(a.cells_of_face)} of it`),
    ...(made.commit ? [`commit ${made.commit.slice(0, 10)}${made.commit.endsWith("+") ? ", changed since" : ""}`] : []),
  ];
  const missing = experiment.missing.length
    ? el("p", { class: "warning" }, `Only ${experiment.folds_expected - experiment.missing.length} of ${experiment.folds_expected} ${experiment.split === "loso" ? "subjects" : "folds"} are done, so do not compare this with whole runs. Missing: ${experiment.missing.join(", ")}.`)
    : null;
  const only = experiment.only_class
    ? el("p", { class: "warning" }, `Under last, every clip is predicted ${experiment.only_class}: the network tells nothing apart.`)
    : null;
  const settings = Object.entries({ ...experiment.settings, ...made.versions });
  document.getElementById("detail").replaceChildren(
    ...[
      el("h3", { class: "name" }, experiment.name),
      missing,
      only,
      el("ul", { class: "facts" }, ...facts.map((fact) => el("li", {}, fact))),
      settings.length
        ? el("details", {}, el("summary", {}, "Settings and versions"), el("dl", {}, ...settings.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))))
        : null,
      parts.length > 1 ? datasetTable(experiment) : null,
      confusionSection(experiment),
      curveSection(experiment),
      subjectSection(experiment),
      clipSection(experiment),
    ].filter(Boolean),
  );
}

function datasetTable(experiment) {
  const rows = scores.filter((row) => row.experiment === experiment.name);
  const table = sortableTable({
    caption: "Scores by dataset, one network for all", noun: "dataset", rows, text: (r) => r.data,
    columns: [{ label: "data", value: (r) => r.data }, ...sizeColumns, ...scoreColumns],
  });
  return el("div", {}, el("h4", {}, "By dataset"), table.element);
}

function confusionSection(experiment) {
  const frame = el("div", { class: "pair" });
  const pick = el("select", { change: () => show() }, ...Object.keys(experiment.confusion).map((name) => el("option", {}, name)));
  const show = () => {
    const { last, nested, best } = experiment.confusion[pick.value];
    frame.replaceChildren(
      scroller("Confusion matrix under last", confusionTable([el("b", {}, "last")], experiment.classes, last)),
      ...(nested ? [scroller("Confusion matrix under nested", confusionTable([el("b", {}, "nested")], experiment.classes, nested))] : []),
      scroller("Confusion matrix under best", confusionTable([el("b", { class: "best" }, "best †"), " optimistic"], experiment.classes, best)),
    );
  };
  show();
  const choice = pick.options.length > 2 ? el("p", { class: "tools" }, el("label", {}, "Data ", pick)) : null;
  const note = el("p", { class: "note" }, "Counts, coloured by their share of the true class; the outlined ones are right.");
  return el("div", { id: "confusion" }, el("h4", {}, "Confusion matrices"), note, choice, frame);
}

function scroller(label, child) {
  return el("div", { class: "scroller", role: "region", "aria-label": label, tabindex: 0 }, child);
}

function curveSection(experiment) {
  const frame = el("div", { class: "pair" });
  const pick = el("select", { change: () => show() }, el("option", { value: -1 }, "all folds, pooled"), ...experiment.folds.map((fold, i) => el("option", { value: i }, fold.name)));
  const show = () => frame.replaceChildren(...curveCharts(experiment, experiment.folds[pick.value]));
  show();
  const { curves } = experiment;
  const head = ["epoch", "training loss", "held-out loss", "UF1, pooled"].map((name) => el("th", { scope: "col" }, name));
  const lines = curves.epochs.map((epoch, i) =>
    el("tr", {}, el("th", { scope: "row" }, String(epoch)), ...[curves.train_loss[i], curves.test_loss[i], curves.uf1[i]].map((v) => el("td", {}, number(v, 4)))),
  );
  const table = el("table", { class: "plain" }, el("caption", {}, "Pooled over folds"), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines));
  return el(
    "div", {}, el("h4", {}, "Learning curves"), el("p", { class: "tools" }, el("label", {}, "Show ", pick)),
    frame, el("details", {}, el("summary", {}, "The curves in numbers"), table),
  );
}

function curveCharts(experiment, fold) {
  const { curves, folds } = experiment;
  const chosen = fold || curves;
  const x = curves.epochs;
  const end = x.length - 1;
  const faint = folds.length > 20 ? "thin faint" : "thin";
  const thin = (name, kind) => folds.map((other) => ({ values: other[name], kind: `${kind} ${faint}` }));
  const what = fold ? fold.name : "pooled over folds";
  const trained = chosen.train_loss.some((value) => value !== null);
  const loss = lineChart({
    title: trained ? "Loss" : "Loss (nothing was trained)",
    description: `${what}: training ${number(chosen.train_loss[end])}, held-out ${number(chosen.test_loss[end])} after the last epoch.`,
    x,
    lines: [
      ...(trained ? thin("train_loss", "train") : []), ...thin("test_loss", "test"),
      ...(trained ? [{ name: "training", values: chosen.train_loss, kind: "train" }] : []),
      { name: "held-out", values: chosen.test_loss, kind: "test" },
    ],
    readout: (i) => `training ${number(chosen.train_loss[i])}, held-out ${number(chosen.test_loss[i])}`,
  });
  const best = fold ? fold.uf1[fold.best] : curves.best_uf1;
  const marked = fold ? [fold] : folds;
  const uf1 = lineChart({
    title: `UF1 on ${fold ? "this held-out subject" : "the held-out subjects"}, by epoch`,
    description: `${what}: last ${number(chosen.uf1[end])}; best, optimistic, ${number(best)}.`,
    x, high: 1,
    lines: [...thin("uf1", "train"), { name: what, values: chosen.uf1, kind: "train solid" }, { name: "a fold's best epoch †", values: [], kind: "mark best" }],
    levels: [{ y: best, label: `best † ${number(best)}, optimistic`, kind: "best" }],
    marks: [
      ...marked.map((one) => ({ x: x[one.best], y: one.uf1[one.best], kind: "mark best" })),
      { x: x[end], y: chosen.uf1[end], kind: "mark last", label: `last ${number(chosen.uf1[end])}` },
    ],
    readout: (i) => `UF1 ${number(chosen.uf1[i])}`,
  });
  return [loss, uf1];
}

const verdict = (right) => el("span", { class: right ? "yes" : "no" }, right ? "✓" : "✗");

function subjectSection(experiment) {
  const { clips, folds, curves } = experiment;
  const rows = folds.map((fold, i) => {
    const mine = clips.fold.flatMap((number, clip) => (number === i ? [clip] : []));
    const right = (protocol) => mine.filter((clip) => clips[protocol][clip] === clips.label[clip]).length;
    const end = fold.uf1.length - 1;
    return { ...fold, clips: mine.length, last: right("last"), bestRight: right("best"), uf1Last: fold.uf1[end], uf1Best: fold.uf1[fold.best], epoch: curves.epochs[fold.best] };
  });
  const share = (count, row) => el("span", {}, `${count} of ${row.clips} `, el("small", {}, percent(count / row.clips)));
  const datasets = [...new Set(folds.map((fold) => fold.data))].sort();
  const table = sortableTable({
    caption: "Every held-out subject", noun: "subject", rows, text: (r) => r.name, sort: [2, 1],
    columns: [
      { label: "subject", value: (r) => r.name },
      { label: "clips", numeric: true, value: (r) => r.clips },
      { label: "right, last", numeric: true, kind: "headline", value: (r) => r.last / r.clips, show: (r) => share(r.last, r) },
      { label: "UF1 last", numeric: true, value: (r) => r.uf1Last, show: (r) => number(r.uf1Last) },
      { label: "right, best †", numeric: true, kind: "best", value: (r) => r.bestRight / r.clips, show: (r) => share(r.bestRight, r) },
      { label: "UF1 best †", numeric: true, kind: "best", value: (r) => r.uf1Best, show: (r) => number(r.uf1Best) },
      { label: "best epoch †", numeric: true, kind: "best", value: (r) => r.epoch },
    ],
    filters: datasets.length > 1 ? [{ label: "Data", options: [["all", () => true], ...datasets.map((name) => [name, (r) => r.data === name])] }] : [],
  });
  return el("div", { id: "subjects" }, el("h4", {}, "Subjects"), table.element);
}

function clipSection(experiment) {
  const { clips, classes, folds } = experiment;
  const rows = clips.clip.map((clip, i) => {
    const final = clips.scores[i][clips.scores[i].length - 1];
    const row = { i, clip, data: clips.data[i], fold: folds[clips.fold[i]].name, label: clips.label[i], last: clips.last[i], best: clips.best[i] };
    if (clips.nested) row.nested = clips.nested[i];
    row.wrong = row.last !== row.label;
    row.margin = (final[row.label] - Math.max(...final.filter((_, k) => k !== row.label))) / 1000;
    row.order = row.margin - (row.wrong ? 1e-6 : 0); // a tie that was told wrong is wrong
    return row;
  });
  const told = (row, protocol) => el("span", {}, verdict(row[protocol] === row.label), ` ${classes[row[protocol]]}`);
  const label = (k) => [classes[k], (row) => row.label === k];
  const table = sortableTable({
    caption: "Every held-out clip. Margin: score of the true class minus the highest other, after the last epoch; below zero is wrong, and the surest mistakes come first.",
    noun: "clip", rows, sort: [4, 1],
    text: (r) => `${r.clip} ${r.fold} ${classes[r.label]}`,
    columns: [
      { label: "clip", value: (r) => r.clip, show: (r) => el("button", { type: "button", class: "open", click: () => openClip(experiment, table.rows(), table.rows().indexOf(r)) }, r.clip) },
      { label: "subject", value: (r) => r.fold },
      { label: "true", value: (r) => classes[r.label] },
      { label: "last", kind: "headline", value: (r) => classes[r.last], show: (r) => told(r, "last") },
      { label: "margin", numeric: true, value: (r) => r.order, show: (r) => number(r.margin) },
      ...(clips.nested ? [{ label: "nested", value: (r) => classes[r.nested], show: (r) => told(r, "nested") }] : []),
      { label: "best †", kind: "best", value: (r) => classes[r.best], show: (r) => told(r, "best") },
    ],
    filters: [
      { label: "Show", options: [["all clips", () => true], ["wrong under last", (r) => r.wrong], ["right under last", (r) => !r.wrong], ["changed by best †", (r) => r.last !== r.best]] },
      { label: "True class", options: [["any", () => true], ...classes.map((_, k) => label(k))] },
    ],
  });
  return el("div", { id: "clips" }, el("h4", {}, "Clips"), table.element);
}

// by: the step that led here, whose button keeps the focus.
function openClip(experiment, rows, at, by = 0) {
  const { clips, classes, folds, curves } = experiment;
  const { i } = rows[at];
  const fold = folds[clips.fold[i]];
  const [first, final] = [curves.epochs[fold.best], curves.epochs[curves.epochs.length - 1]];
  const name = clips.clip[i];
  const told = (protocol) => el("dd", {}, verdict(clips[protocol][i] === clips.label[i]), ` ${classes[clips[protocol][i]]}`);
  const chart = lineChart({
    title: "Class scores by epoch (thick: the true class)",
    description: classes.map((label, k) => `${label} ${number(clips.scores[i].at(-1)[k] / 1000)}`).join(", ") + " after the last epoch.",
    x: curves.epochs, high: 1,
    lines: classes.map((label, k) => ({ name: label, values: clips.scores[i].map((row) => row[k] / 1000), kind: `class${k}${k === clips.label[i] ? " true" : ""}` })),
    moments: [{ x: first, label: "best †", kind: "best" }, { x: final, label: "last", kind: "last" }],
    readout: (e) => classes.map((label, k) => `${label} ${number(clips.scores[i][e][k] / 1000)}`).join(", "),
  });
  const pictures = clips.pictures[i].map((k) => data.pictures[k]).map(({ title, src, width, height }) =>
    el("figure", {}, el("img", { src, width, height, alt: `${title} of clip ${name}` }), el("figcaption", {}, title)),
  );
  const step = (to, text, label) => el("button", { type: "button", "aria-label": label, disabled: rows[at + to] ? null : "", click: () => openClip(experiment, rows, at + to, to) }, text);
  const steps = { "-1": step(-1, "← Prev", "Previous clip"), 1: step(1, "Next →", "Next clip") };
  const close = el("button", { type: "button", class: "close", click: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    el("div", { class: "bar" }, steps[-1], steps[1], el("span", { class: "count" }, `${at + 1} of ${rows.length}`), close),
    el("h2", { id: "clip-title" }, name),
    el(
      "dl", { class: "told" },
      el("div", {}, el("dt", {}, "subject"), el("dd", {}, fold.name)),
      el("div", {}, el("dt", {}, "true"), el("dd", {}, classes[clips.label[i]])),
      el("div", {}, el("dt", {}, `last, epoch ${final}`), told("last")),
      clips.nested ? el("div", {}, el("dt", {}, "nested"), told("nested")) : null,
      el("div", { class: "best" }, el("dt", {}, `best †, epoch ${first}`), told("best")),
    ),
    el("div", { class: "pictures" }, ...pictures),
    chart,
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  (rows[at + by] && steps[by] || close).focus();
}

function route(event) {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("experiment");
  showExperiment(byName.get(wanted) || data.experiments[0]);
  if (event && byName.has(wanted)) document.getElementById("detail-title").focus();
}

document.getElementById("notes").append(...data.notes.map((note) => el("p", { class: "note" }, `${note}.`)));
picker.append(...data.experiments.map(({ name }) => el("option", {}, name)));
picker.addEventListener("change", () => {
  history.replaceState(null, "", address(picker.value));
  showExperiment(byName.get(picker.value));
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
window.addEventListener("hashchange", route);
showCompare();
showGroups();
route();
