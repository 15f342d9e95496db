// Elements, and tables that sort and filter. Text goes in as text nodes only, never as HTML.

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const minus = (text) => text.replace("-", "−");
const number = (value, digits = 3) => (value === null ? "–" : minus(value.toFixed(digits)));
const percent = (value) => `${Math.round(100 * value)}%`;

// columns: {label, value(row), show(row) if it differs, numeric, kind: a class for the cells}.
// filters: {label, options: [[name, test(row)], …]}. text(row): what the search box looks in.
// sort: [number of the column, 1 up or -1 down]; null keeps the order that rows come in.
// Returns {element, rows(): what is listed now, in its order}.
function sortableTable({ caption, noun, columns, rows, text, filters = [], sort = null, limit = 25 }) {
  let listed = rows;
  let all = false;
  const body = el("tbody", { role: "rowgroup" });
  const status = el("p", { role: "status", class: "count" });
  const more = el("button", { type: "button", class: "more", click: () => ((all = true), list(), body.querySelectorAll("tr")[limit].querySelector("button, a, th").focus()) });
  const heads = columns.map((column, i) => {
    const click = () => {
      const first = column.numeric ? -1 : 1;
      sort = [i, sort && sort[0] === i ? -sort[1] : first];
      list();
    };
    const button = el("button", { type: "button", click }, column.label);
    return el("th", { scope: "col", role: "columnheader", class: column.kind }, button);
  });

  const search = el("input", { type: "search", autocomplete: "off", spellcheck: "false", input: () => list() });
  const selects = filters.map((filter) =>
    el("select", { change: () => list() }, ...filter.options.map(([name], i) => el("option", { value: i }, name))),
  );

  function list() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    listed = rows.filter(
      (row) =>
        words.every((word) => text(row).toLowerCase().includes(word)) &&
        selects.every((select, i) => filters[i].options[select.value][1](row)),
    );
    if (sort) {
      const [i, direction] = sort;
      listed.sort((a, b) => compare(columns[i].value(a), columns[i].value(b), direction));
    }
    heads.forEach((head, i) => {
      if (sort && sort[0] === i) head.setAttribute("aria-sort", sort[1] > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const shown = all ? listed : listed.slice(0, limit);
    body.replaceChildren(...shown.map(line));
    const whole = listed.length === rows.length;
    status.textContent = `${whole ? "" : `${listed.length} of `}${rows.length} ${noun}${rows.length === 1 ? "" : "s"}`;
    more.textContent = `Show all ${listed.length}`;
    more.hidden = shown.length === listed.length;
  }

  function line(row) {
    const cells = columns.map((column, i) => {
      const content = column.show ? column.show(row) : String(column.value(row));
      const attributes = { class: [column.kind, column.numeric ? "number" : ""].join(" ").trim() || null, "data-label": column.label };
      if (i === 0) return el("th", { ...attributes, scope: "row", role: "rowheader" }, content);
      return el("td", { ...attributes, role: "cell" }, content);
    });
    return el("tr", { role: "row" }, ...cells);
  }

  const table = el(
    "table",
    { role: "table", class: "sortable" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
    body,
  );
  const tools = el(
    "div",
    { class: "tools" },
    rows.length > 1 ? el("label", {}, `Search ${noun}s `, search) : null,
    ...selects.map((select, i) => el("label", {}, `${filters[i].label} `, select)),
    status,
  );
  list();
  return { element: el("div", { class: "listing" }, tools, el("div", { class: "wide" }, table), more), rows: () => listed };
}

// Numbers by size, text as people count (s2 before s10); what is missing comes last either way.
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return direction * order;
}

// Counts [true][predicted], coloured by their share of the true class.
function confusionTable(caption, classes, counts) {
  const head = el("tr", {}, el("td", {}, "true ↓ predicted →"), ...classes.map((name) => el("th", { scope: "col" }, name)));
  const lines = classes.map((name, i) => {
    const total = counts[i].reduce((sum, count) => sum + count, 0);
    const cells = counts[i].map((count, j) => {
      const share = total ? count / total : 0;
      const cell = el("td", { class: i === j ? "right" : "" }, `${count}`, el("small", {}, percent(share)));
      cell.style.setProperty("--share", share.toFixed(3));
      return cell;
    });
    return el("tr", {}, el("th", { scope: "row" }, name), ...cells);
  });
  const table = el("table", { class: "confusion" }, el("caption", {}, ...caption), el("thead", {}, head), el("tbody", {}, ...lines));
  table.style.setProperty("--classes", classes.length);
  return table;
}

