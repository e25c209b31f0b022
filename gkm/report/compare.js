// Photographs side by side: a lens that shows the same pixels of all of them, and two of them under a slider.
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const made = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

function lensOf(article) {
  const frames = [...article.querySelectorAll(".frame")];
  const first = frames[0].querySelector(".box").style;
  const part = (text) => parseFloat(text) / 100;
  const start = { side: part(first.width), tall: part(first.height), x: part(first.left), y: part(first.top) };
  const link = article.querySelector(".crop");
  const watchers = [];
  let fixed = { ...start };

  const lenses = frames.map((frame) => {
    const lens = made("div", { className: "lens" });
    lens.style.backgroundImage = `url("${frame.querySelector("img").src}")`;
    frame.parentElement.querySelector(".enlarged").append(lens);
    return lens;
  });

  function show(view) {
    const along = (at, size) => (size < 1 ? `${(100 * at) / (1 - size)}%` : "0%");
    for (const frame of frames) {
      const box = frame.querySelector(".box").style;
      box.left = `${100 * view.x}%`;
      box.top = `${100 * view.y}%`;
      box.width = `${100 * view.side}%`;
      box.height = `${100 * view.tall}%`;
    }
    for (const lens of lenses) {
      lens.style.backgroundSize = `${100 / view.side}% ${100 / view.tall}%`;
      lens.style.backgroundPosition = `${along(view.x, view.side)} ${along(view.y, view.tall)}`;
    }
    for (const watcher of watchers) watcher(view);
  }

  function at(x, y, side = fixed.side) {
    const width = within(side, 0.02, 1);
    const height = within((width * start.tall) / start.side, 0.02, 1);
    return { side: width, tall: height, x: within(x, 0, 1 - width), y: within(y, 0, 1 - height) };
  }

  function fix(view) {
    fixed = view;
    link.href = `#${article.id}@${[view.x, view.y, view.side].map((value) => value.toFixed(4)).join(",")}`;
    show(view);
  }

  function under(event) {
    const area = event.currentTarget.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width - fixed.side / 2;
    return at(x, (event.clientY - area.top) / area.height - fixed.tall / 2);
  }

  const steps = { ArrowLeft: [-1, 0, 1], ArrowRight: [1, 0, 1], ArrowUp: [0, -1, 1], ArrowDown: [0, 1, 1], "+": [0, 0, 0.7], "-": [0, 0, 1 / 0.7] };
  for (const frame of frames) {
    frame.tabIndex = 0;
    frame.addEventListener("pointermove", (event) => show(under(event)));
    frame.addEventListener("pointerleave", () => show(fixed));
    frame.addEventListener("click", (event) => fix(under(event)));
    frame.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return fix({ ...start });
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [right, down, grow] = steps[event.key];
      const shrunk = (1 - within(fixed.side * grow, 0.02, 1) / fixed.side) / 2;
      fix(at(fixed.x + fixed.side * (right / 4 + shrunk), fixed.y + fixed.tall * (down / 4 + shrunk), fixed.side * grow));
    });
  }
  fix(fixed);
  return { fix: (x, y, side) => fix(at(x, y, side)), watch: (watcher) => (watchers.push(watcher), watcher(fixed)) };
}

function sliderOf(article, lens) {
  const pictures = [...article.querySelectorAll(".frame img")];
  const names = pictures.map((picture) => picture.dataset.name);
  const sides = [made("img", { className: "under" }), made("img")];
  const cover = made("div", { className: "cover" }, sides[1]);
  const stage = made("div", { className: "stage" }, sides[0], cover);
  const divider = made("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, ariaLabel: "Where one photograph ends" });
  const zoom = made("select", { ariaLabel: "Enlargement" }, ...[1, 2, 4, 8].map((times) => new Option(times > 1 ? `${times} ×` : "whole", times)));
  const choices = ["right", "left"].map((where, index) =>
    made("select", { ariaLabel: `Photograph on the ${where}` }, ...names.map((name, place) => new Option(name, place, false, place === 1 - index))),
  );
  let view = null;

  function place() {
    const times = Number(zoom.value);
    const [x, y] = [view.x + view.side / 2, view.y + view.tall / 2].map((middle) => within(middle, 0.5 / times, 1 - 0.5 / times));
    for (const side of sides) side.style.transform = `translate(${50 - 100 * times * x}%, ${50 - 100 * times * y}%) scale(${times})`;
  }

  function choose() {
    choices.forEach((choice, index) => {
      sides[index].src = pictures[choice.value].src;
      sides[index].alt = `${names[choice.value]} photograph`;
    });
  }

  const move = () => stage.style.setProperty("--at", `${divider.value}%`);
  const drag = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const area = stage.getBoundingClientRect();
    divider.value = within((100 * (event.clientX - area.left)) / area.width, 0, 100);
    move();
  };
  stage.addEventListener("pointerdown", (event) => (stage.setPointerCapture(event.pointerId), drag(event)));
  stage.addEventListener("pointermove", drag);
  divider.addEventListener("input", move);
  zoom.addEventListener("change", place);
  for (const choice of choices) choice.addEventListener("change", choose);
  stage.style.aspectRatio = `${pictures[0].getAttribute("width")} / ${pictures[0].getAttribute("height")}`;
  const bar = made("p", { className: "bar-of-choices" }, choices[1], divider, choices[0], zoom);
  const folded = made("details", { className: "versus" }, made("summary", {}, "Two of them under a slider"), bar, stage);
  folded.addEventListener("toggle", choose, { once: true });
  article.querySelector(".triptych").after(folded);
  lens.watch((now) => ((view = now), place()));
  move();
}

const lenses = new Map();
for (const article of document.querySelectorAll("article.example")) {
  const lens = lensOf(article);
  lenses.set(article.id, lens);
  sliderOf(article, lens);
}
function follow() {
  const [id, crop] = location.hash.slice(1).split("@");
  const numbers = (crop || "").split(",").map(Number);
  if (!lenses.has(id) || numbers.length !== 3 || !numbers.every(Number.isFinite)) return;
  lenses.get(id).fix(...numbers);
  document.getElementById(id).scrollIntoView();
}
addEventListener("hashchange", follow);
follow();
