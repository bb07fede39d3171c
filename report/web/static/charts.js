// Replaces each picture with an interactive chart for mouse, touch and arrow keys. The picture stays until the chart is
// ready, or for good if anything fails. Names come as data and are only written as text.

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Makes the tooltip with the figures of a mark. */
const makeTip = figure => {
  const box = document.createElement("dl");
  box.className = "tip";
  box.hidden = true;
  figure.append(box);
  const hide = () => { box.hidden = true; };
  const show = (figures, x, y) => {
    box.replaceChildren(...lines(figures).map(([title, text]) => {
      const [line, term, value] = ["div", "dt", "dd"].map(each => document.createElement(each));
      term.textContent = title;
      value.textContent = text;
      value.dir = "auto";
      line.append(term, value);
      return line;
    }));
    box.hidden = false;
    box.style.left = "0";
    const room = document.documentElement.clientWidth - box.offsetWidth - 8;
    const left = Math.max(8, x + 16 > room ? Math.min(room, x - 16 - box.offsetWidth) : x + 16);
    const top = Math.max(8, y - 12 - box.offsetHeight);
    const from = figure.getBoundingClientRect();
    box.style.left = `${left - from.left}px`;
    box.style.top = `${top - from.top}px`;
  };
  addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
  return { show, hide };
};

const lines = figures => Object.entries(figures).filter(([, text]) => text !== "");
const middle = mark => {
  const { x, y, width, height } = mark.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
};

/** Returns the nearest mark in a direction; a distance to the side counts four times. */
const nextTo = (mark, marks, [right, down]) => {
  const [x, y] = middle(mark);
  let best = mark, least = Infinity;
  for (const other of marks) {
    const [otherX, otherY] = middle(other);
    const along = (otherX - x) * right + (otherY - y) * down;
    const aside = Math.abs((otherX - x) * down) + Math.abs((otherY - y) * right);
    if (along > 1 && along + 4 * aside < least) [best, least] = [other, along + 4 * aside];
  }
  return best;
};

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/** Makes the chart one stop for the Tab key; the arrow keys then move from mark to mark and show the figures. */
const walkByKeys = (chart, tip) => {
  // Vega's own roles have no useful names.
  for (const each of chart.querySelectorAll("[role]")) ["role", "aria-roledescription"].forEach(name => each.removeAttribute(name));
  // Vega stores the mark of each shape in `__data__`.
  const marks = [...chart.querySelectorAll("path")].filter(each => each.__data__?.tooltip);
  marks.forEach(mark => mark.classList.add("pointed"));
  let stop;
  const stopAt = mark => {
    // Only one mark has a label: a screen reader would have to pass hundreds. The tables hold all figures.
    for (const name of ["role", "tabindex", "aria-label"]) stop?.removeAttribute(name);
    stop = mark;
    mark.setAttribute("role", "img");
    mark.setAttribute("tabindex", "0");
    mark.setAttribute("aria-label", lines(mark.__data__.tooltip).map(line => line.join(": ")).join(", "));
  };
  if (!marks.length) return null;
  stopAt(marks[0]);
  chart.addEventListener("keydown", event => {
    if (event.target !== stop || !(event.key in ARROWS)) return;
    event.preventDefault();
    stopAt(nextTo(stop, chart.querySelectorAll(".pointed"), ARROWS[event.key]));
    stop.focus();
  });
  chart.addEventListener("focusin", event => {
    if (event.target === stop) tip.show(stop.__data__.tooltip, ...middle(stop));
  });
  chart.addEventListener("focusout", tip.hide);
  return stopAt;
};

// From THIN buckets on, each is too thin to point at.
const THIN = 45, FEWEST = 8, TICKS = 5;

/** Adds buttons that zoom into a part of the days, if the chart's description supports it. */
const zoom = (chart, view, stopAt) => {
  const marks = [...chart.querySelectorAll(".pointed")];
  const dayOf = mark => +mark.__data__.datum.begins_on;
  const days = [...new Set(marks.map(dayOf))].sort((one, other) => one - other);
  const signals = view.getState({ signals: name => name === "shown_days", data: () => false }).signals;
  if (!("shown_days" in signals) || days.length < THIN) return;
  let first = 0, count = days.length;
  const buttons = document.createElement("div");
  const show = async (from, number) => {
    count = Math.min(days.length, Math.max(FEWEST, Math.round(number)));
    first = Math.min(days.length - count, Math.max(0, Math.round(from)));
    const part = days.slice(first, first + count), step = Math.ceil(count / TICKS);
    const whole = count === days.length, half = (days[1] - days[0]) / 2;
    view.signal("shown_days", whole ? null : [part[0] - half, part.at(-1) + half]);
    view.signal("shown_ticks", whole ? null : part.filter((_, place) => place % step === 0));
    await view.runAsync();
    for (const mark of marks) mark.classList.toggle("pointed", part.includes(dayOf(mark)));
    if (!chart.querySelector(".pointed[tabindex]")) stopAt(chart.querySelector(".pointed"));
    const useless = [count === FEWEST, whole, first === 0, first + count === days.length];
    [...buttons.children].forEach((button, place) => button.setAttribute("aria-disabled", useless[place]));
  };
  const ways = {
    "Zoom in": () => show(first + count / 4, count / 2),
    "Zoom out": () => show(first - count / 2, count * 2),
    "Earlier": () => show(first - count / 2, count),
    "Later": () => show(first + count / 2, count),
  };
  buttons.className = "buttons zoom";
  for (const [title, go] of Object.entries(ways)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = title;
    button.addEventListener("click", () => { if (button.getAttribute("aria-disabled") !== "true") go(); });
    buttons.append(button);
  }
  chart.prepend(buttons);
  show(0, days.length);
};

/** Highlights a legend entry's marks while the pointer is on it, and from one press to the next. */
const singleOut = chart => {
  const whoOf = each => each.__data__?.datum?.who;
  const drawn = [...chart.querySelectorAll("path")].filter(whoOf);
  const entries = [...chart.querySelectorAll(".role-legend-label text")];
  let kept = null;
  const show = who => drawn.forEach(each => each.classList.toggle("aside", who !== null && whoOf(each) !== who));
  for (const entry of entries) {
    const who = entry.__data__.datum.value;
    const keep = () => {
      kept = kept === who ? null : who;
      entries.forEach(each => each.setAttribute("aria-pressed", each.__data__.datum.value === kept));
      show(kept);
    };
    // Vega hides the legend from screen readers.
    for (let hidden; (hidden = entry.closest("[aria-hidden]"));) hidden.removeAttribute("aria-hidden");
    entry.setAttribute("role", "button");
    entry.setAttribute("tabindex", "0");
    entry.setAttribute("aria-pressed", "false");
    entry.addEventListener("pointerenter", () => show(who));
    entry.addEventListener("pointerleave", () => show(kept));
    entry.addEventListener("click", keep);
    entry.addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      keep();
    });
  }
};

/** Returns a figure's chart in the colours of the current scheme. */
const draw = async (figure, tip) => {
  const { expressionInterpreter } = await import(figure.dataset.interpreter);
  const address = `${figure.dataset.chart}&look=${dark.matches ? "dark" : "light"}`;
  const answer = await fetch(address, { redirect: "error" });
  if (!answer.ok) throw new Error(`cannot load the chart: status ${answer.status}`);
  const chart = document.createElement("div");
  chart.className = "chart";
  // `ast` and the interpreter evaluate expressions without `Function`, which the Content-Security-Policy forbids.
  const view = new vega.View(vega.parse(await answer.json(), null, { ast: true }), {
    expr: expressionInterpreter, renderer: "svg", container: chart,
    tooltip: (_, event, __, figures) => figures ? tip.show(figures, event.clientX, event.clientY) : tip.hide(),
  });
  await view.runAsync();
  const stopAt = walkByKeys(chart, tip);
  singleOut(chart);
  if (stopAt) zoom(chart, view, stopAt);
  return { chart, view };
};

for (const figure of document.querySelectorAll("[data-chart]")) {
  const name = figure.querySelector("img").alt;
  const tip = makeTip(figure);
  let shown, turn = 0;
  const put = async () => {
    const mine = ++turn;
    const made = await draw(figure, tip);
    if (mine !== turn) return made.view.finalize();
    made.chart.setAttribute("role", "group");
    made.chart.setAttribute("aria-label", name);
    figure.querySelector("picture, .chart").replaceWith(made.chart);
    shown?.view.finalize();
    shown = made;
  };
  const renew = () => put().catch(error => console.warn("The picture stays as it is:", error.message));
  dark.addEventListener("change", renew);
  renew();
}
