"use strict";
const one = (id) => document.getElementById(id);
const [drop, chosen, model, status, slider] = ["drop", "photograph", "model", "status", "slider"].map(one);
let limits = null;
let turn = 0; // of the photograph sent last: answers to earlier ones come too late

const say = (text, wrong = false) => {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
};

const answer = async (path, options) => {
  const response = await fetch(path, options).catch(() => null);
  if (response === null) throw new Error("the server does not answer; is it still running?");
  const content = await response.json().catch(() => ({ error: `the server answers with status ${response.status}` }));
  if (!response.ok) throw new Error(content.error);
  return content;
};

const loadChoices = async () => {
  limits = await answer("/choices");
  model.replaceChildren(...limits.models.map((one) => new Option(one.label, one.key)));
  one("limits").textContent = `at most ${limits.mostBytes / 1e6} MB and ${limits.mostPixels / 1e6} million pixels`;
};

const loaded = (picture, address) =>
  new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = () => reject(new Error("the browser cannot show the result; download it"));
    picture.src = address;
  });

const show = async (result) => {
  const place = `/restorations/${result.key}`;
  one("result").hidden = false;
  one("download").href = `${place}/file`;
  one("download").download = result.name;
  one("facts").textContent = `${result.width} x ${result.height} pixels, ${result.seconds} s, ${result.model}`;
  await Promise.all([loaded(one("before"), `${place}/before`), loaded(one("after"), `${place}/after`)]);
};

const send = async (file) => {
  const mine = ++turn;
  await ready; // a photograph may be chosen before the server has said which models there are
  if (mine !== turn || limits === null) return;
  if (file.size > limits.mostBytes) {
    say(`${file.name}: is larger than ${limits.mostBytes / 1e6} MB; choose a smaller one`, true);
    return;
  }
  one("result").hidden = true;
  const began = Date.now();
  const tick = async () => {
    const state = await answer("/waiting").catch(() => ({ waiting: 0 }));
    const others = state.waiting > 0 ? `, ${state.waiting} waiting` : "";
    if (mine === turn && working) say(`restoring ${file.name}, ${Math.round((Date.now() - began) / 1000)} s${others}`);
  };
  let working = true;
  say(`sending ${file.name}`);
  const clock = setInterval(tick, 1000);
  try {
    const query = new URLSearchParams({ model: model.value, name: file.name });
    const result = await answer(`/restorations?${query}`, { method: "POST", body: file });
    working = false;
    if (mine !== turn) return;
    await show(result);
    say(`restored ${file.name}`);
  } catch (error) {
    working = false;
    if (mine === turn) say(error.message, true);
  } finally {
    clearInterval(clock);
  }
};

const again = () => chosen.files.length > 0 && send(chosen.files[0]);
chosen.addEventListener("change", again);
model.addEventListener("change", again);
one("form").addEventListener("submit", (event) => event.preventDefault());
slider.addEventListener("input", () => one("pictures").style.setProperty("--at", `${slider.value}%`));
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length > 0) {
      chosen.files = event.dataTransfer.files;
      again();
    }
  });
}
const ready = loadChoices().catch((error) => say(error.message, true));
