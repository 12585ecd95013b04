// Index: puts the parts together for Streamlit, talks to the server, and keeps everything across reruns.
//
// `data`: campaign, question (what to list), token and see (for routes and for pictures), me, rights, reasons.

const EVERY = 4000; // milliseconds between looks at what others did
const AROUND = 24; // items on each side of the one in view that are leased

class App {
  constructor(component) {
    this.root = h("div", { class: "root" });
    component.parentElement.append(this.root);
    this.data = component.data;
    this.details = new Map();
    this.outbox = new Outbox({
      name: `dreamline ${this.data.campaign} ${this.data.me}`,
      send: (decisions, keepalive) =>
        this.post("/api/decisions", { campaign: this.data.campaign, decisions }, { keepalive }),
      onAnswers: (answers, wishes) => this.review.answered(answers, wishes),
      onRefused: (wishes, error) => this.review.refused(wishes, error),
      onState: (told) => this.drawSaving(told),
    });
    this.review = new Review({
      me: this.data.me,
      outbox: this.outbox,
      changed: (what, ids) => this.changed(what, ids),
      say: (words) => this.say(words),
    });
    const url = (sha, size = "thumb") => this.url(sha, size);
    this.grid = new Grid({ review: this.review, url, onOpen: () => this.toSingle() });
    this.single = new Single({
      review: this.review, url, fetchDetail: (item) => this.detail(item), act: () => this.actions(),
    });
    this.single.titles = Object.fromEntries(this.data.reasons.map((reason) => [reason.name, reason.title]));
    this.panels = new Panels({ root: this.root, reasons: this.data.reasons, onClose: () => this.focus() });
    this.keys = makeKeys(this);
    this.build();
    this.press = (event) => this.keys.press(event);
    window.addEventListener("keydown", this.press, true);
    this.online = () => this.outbox.hurry();
    window.addEventListener("online", this.online);
    this.leave = () => this.outbox.leave();
    window.addEventListener("pagehide", this.leave);
    this.fit = () => this.fitHeight();
    window.addEventListener("resize", this.fit);
    this.watch = setInterval(() => this.look(), EVERY);
    this.list();
  }

  build() {
    this.counts = h("span", { class: "counts" });
    this.saving = h("span", { class: "saving", role: "status" });
    this.said = h("div", { class: "said", role: "status", hidden: true });
    this.empty = h("div", { class: "empty", hidden: true });
    const tool = (label, name, act) => button(label, { class: "plain", onclick: act }, icon(name));
    const bar = h("div", { class: "bar" }, this.counts, this.saving,
      h("span", { class: "tools" },
        tool("Undo (Z)", "undo", () => this.review.undo()),
        tool("Redo (Shift Z)", "redo", () => this.review.redo()),
        tool("Refresh the list", "refresh", () => this.list()),
        tool("Keys (?)", "help", () => this.panels.help())));
    this.root.replaceChildren(bar, this.grid.element, this.empty, this.single.element, this.said, this.panels.element);
    this.drawSaving({ unsent: this.outbox.waiting.length, state: "saved" });
  }

  may(right) {
    return this.data.rights.includes(right);
  }

  url(sha, size) {
    return `/img/${size}/${sha}?c=${encodeURIComponent(this.data.campaign)}&t=${this.data.see}`;
  }

  // --- the server ---

  async ask(path, given = {}) {
    const headers = { Authorization: `Bearer ${this.data.token}` };
    const response = await fetch(path, { ...given, headers, cache: "no-store" });
    if (response.status === 401) this.renew();
    const told = await response.json().catch(() => ({}));
    return { status: response.status, ...told };
  }

  post(path, value, given = {}) {
    return this.ask(path, { method: "POST", body: JSON.stringify(value), ...given });
  }

  renew() {
    if (performance.now() - (this.renewed ?? -10000) < 5000) return;
    this.renewed = performance.now();
    this.component?.setTriggerValue("renew", Date.now());
  }

  async list() {
    this.root.setAttribute("aria-busy", "true");
    const query = new URLSearchParams({ campaign: this.data.campaign, ...this.data.question });
    const asked = (this.asked = query.toString());
    let told;
    try {
      told = await this.ask(`/api/items?${query}`);
    } catch {
      told = { status: 0, error: "The server can't be reached." };
    }
    if (asked !== this.asked) return;
    this.root.removeAttribute("aria-busy");
    if (told.status !== 200) return this.showEmpty(told.error || "The list could not be read.");
    this.review.load(told);
    this.grid.reload();
    this.drawCounts();
    this.showEmpty(told.items.length ? "" : this.data.empty);
    this.fitHeight();
    this.single.draw();
    this.lease();
    if (!told.items.length) this.toGrid();
  }

  async look() {
    if (document.hidden || !this.review.items.length) return;
    try {
      const told = await this.ask(`/api/changes?campaign=${encodeURIComponent(this.data.campaign)}&after=${this.review.number}`);
      if (told.status === 200) this.review.heard(told);
    } catch {
      return;
    }
    this.lease();
    if (this.outbox.waiting.length) this.outbox.hurry();
  }

  // Tells the server what is being looked at, and learns what others look at.
  async lease() {
    if (!this.may("decide") || !this.review.items.length) return;
    const low = Math.max(0, this.review.cursor - AROUND);
    const items = this.review.items.slice(low, this.review.cursor + AROUND).map((item) => item.id);
    try {
      const told = await this.post("/api/leases", { campaign: this.data.campaign, items });
      if (told.status !== 200) return;
      this.review.others = told.others;
      this.grid.paintAll();
    } catch {
      // Leases are a courtesy.
    }
  }

  async detail(item) {
    const name = `${item.id} ${item.v}`;
    if (!this.details.has(name)) this.details.set(name, this.ask(`/api/item?id=${item.id}`).catch(() => null));
    const told = await this.details.get(name);
    return told?.status === 200 ? told : null;
  }

  // --- what is seen ---

  changed(what, ids = []) {
    if (what === "cursor" || what === "selection") {
      this.grid.reveal();
      this.grid.draw();
      this.grid.paintAll();
    } else ids.forEach((id) => this.review.byId.has(id) && this.grid.paint(this.review.byId.get(id)));
    if (what === "refused") setTimeout(() => this.list(), 1500);
    this.single.draw();
    this.drawCounts();
  }

  drawCounts() {
    const counts = this.review.counts();
    const total = this.review.items.length;
    const decided = total - counts.open - counts.making;
    const parts = [h("b", {}, `${decided.toLocaleString("en")} of ${total.toLocaleString("en")} decided`)];
    for (const name of ["approved", "proposed", "rejected", "making"]) {
      if (counts[name]) parts.push(h("span", { class: "count", "data-is": name }, icon(name), `${counts[name].toLocaleString("en")} ${WORDS[name].toLowerCase()}`));
    }
    if (this.review.selected.size) parts.push(h("span", { class: "count chosen" }, `${this.review.selected.size} selected`));
    this.counts.replaceChildren(...parts);
  }

  drawSaving({ unsent, state }) {
    if (!this.saving) return;
    const words = {
      saved: "All saved",
      offline: `Not connected: ${plural(unsent, "decision")} kept here, trying again`,
      renewing: `Logging in again: ${plural(unsent, "decision")} kept here`,
      refused: "Refused",
    };
    this.saving.textContent = state === "saved" && unsent ? `Saving ${unsent}` : words[state];
    this.saving.dataset.state = unsent && state === "saved" ? "saving" : state;
    this.saving.dataset.unsent = unsent;
  }

  actions() {
    if (!this.may("decide")) return [];
    const act = (label, letter, name, run) => h("button", { type: "button", class: `act ${name}`, onclick: run }, label, " ", key(letter));
    return [
      act("Approve", "P", "approved", () => this.keys.act("approved")),
      act("Reject", "X", "rejected", () => this.keys.act("rejected")),
      act("Change", "E", "change", () => this.keys.change()),
    ];
  }

  showEmpty(words) {
    this.empty.hidden = !words;
    this.grid.element.hidden = !!words;
    this.empty.textContent = words;
  }

  say(words) {
    this.said.textContent = words;
    this.said.hidden = false;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => (this.said.hidden = true), 6000);
  }

  toSingle() {
    if (!this.review.current) return;
    this.single.open();
    this.grid.element.classList.add("behind");
    this.fitHeight();
    this.focus();
  }

  toGrid() {
    this.single.close();
    this.grid.element.classList.remove("behind");
    this.grid.measure();
    this.focus();
  }

  focus() {
    this.grid.element.focus({ preventScroll: true });
  }

  search() {
    const field = document.querySelector('input[aria-label="Search"]');
    field?.focus();
    field?.select();
  }

  // As tall as what is left of the window, so that the page itself does not scroll.
  fitHeight() {
    const top = this.root.getBoundingClientRect().top + window.scrollY;
    this.root.style.height = `${Math.max(460, Math.round(window.innerHeight - Math.min(top, 320) - 14))}px`;
    this.grid.measure();
  }

  update(component) {
    const before = JSON.stringify(this.data.question);
    const token = this.data.token;
    this.component = component;
    this.data = component.data;
    if (before !== JSON.stringify(this.data.question)) this.list();
    else if (token !== this.data.token) this.grid.paintAll();
    this.outbox.hurry();
  }

  close() {
    this.lastWords();
    window.removeEventListener("keydown", this.press, true);
    window.removeEventListener("online", this.online);
    window.removeEventListener("pagehide", this.leave);
    window.removeEventListener("resize", this.fit);
    clearInterval(this.watch);
    clearTimeout(this.silence);
    this.single.close();
    this.grid.close();
    this.root.remove();
  }

  lastWords() {
    this.outbox.close();
  }
}

const apps = new WeakMap();

export default function (component) {
  const place = component.parentElement;
  let app = apps.get(place);
  if (app && app.data.campaign !== component.data.campaign) {
    app.close();
    app = undefined;
  }
  if (!app) {
    app = new App(component);
    apps.set(place, app);
  }
  app.update(component);
  // Streamlit may call what an overtaken call returned: only the last one's counts.
  const call = (app.calls = (app.calls || 0) + 1);
  return () => {
    if (call !== app.calls) return;
    app.close();
    apps.delete(place);
  };
}
