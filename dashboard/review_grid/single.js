// Single: one image large, its references beside it; compared side by side, by a slider or by blinking; and at
// 100 %, where both pictures move together.

const MOST_PINS = 50; // marks that the server keeps
const MODES = ["beside", "slider", "blink"];
const MODE_WORDS = { beside: "Side by side", slider: "Slider", blink: "Blink" };

// What became of the attempt before.
const beforeWord = (before) => (before.by?.startsWith("gate: ") ? "missed a gate" : before.why.length ? "rejected" : "varied");

class Single {
  constructor({ review, url, fetchDetail, act }) {
    Object.assign(this, { review, url, fetchDetail, act });
    this.mode = null;
    this.other = 0;
    this.zoomed = false;
    this.at = { x: 0.5, y: 0.5 };
    this.split = 0.5;
    this.stage = h("div", { class: "stage" });
    this.side = h("aside", { class: "side", "aria-label": "References and facts" });
    this.element = h("section", { class: "single", hidden: true, "aria-label": "Image" }, this.stage, this.side);
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("click", (event) => this.pin(event));
    this.pins = [];
  }

  get isOpen() {
    return !this.element.hidden;
  }

  open() {
    this.element.hidden = false;
    this.draw();
  }

  close() {
    this.element.hidden = true;
    this.mode = null;
    this.zoomed = false;
    clearInterval(this.blinking);
  }

  // What the image can be held against: the attempt before it, then its references.
  others(item) {
    const before = item.before ? [{ sha: item.before.sha, name: "The attempt before", kind: "before" }] : [];
    return [...before, ...item.refs.map((index) => this.review.references[index])];
  }

  draw() {
    if (!this.isOpen) return;
    const item = this.review.current;
    if (!item) return this.close();
    if (item.id !== this.shown || item.sha !== this.picture) {
      this.shown = item.id;
      this.picture = item.sha;
      this.other = 0;
      this.pins = [];
      // The attempt before is shown without asking, and only there.
      if (item.before && this.mode === null) [this.mode, this.asked] = ["beside", false];
      else if (!item.before && this.asked === false) [this.mode, this.asked] = [null, true];
    }
    this.drawStage(item);
    this.drawSide(item);
    this.ahead();
  }

  drawStage(item) {
    clearInterval(this.blinking);
    const size = this.zoomed ? "full" : "view";
    const ours = this.pane(item.sha, size, nameOf(item), item.before ? "This attempt" : "Image");
    ours.classList.add("ours");
    const other = this.others(item)[this.other];
    this.stage.className = `stage ${other && this.mode ? this.mode : "alone"}${this.zoomed ? " zoomed" : ""}`;
    this.stage.dataset.is = item.is;
    if (!this.mode || !other) this.stage.replaceChildren(ours);
    else {
      const theirs = this.pane(other.sha, size, `${other.name} (${other.kind})`, other.name);
      this.stage.replaceChildren(theirs, ours);
      if (this.mode === "slider") this.stage.append(this.handle());
      if (this.mode === "blink") this.blinking = setInterval(() => this.stage.classList.toggle("other"), 700);
    }
    this.place();
    this.drawPins();
  }

  // A click on our picture marks a place; a click on a mark takes it away. Marks go along with the next change (E).
  pin(event) {
    const picture = event.target.closest?.(".pane.ours img");
    if (!picture || this.zoomed || this.mode === "slider") return;
    const box = contentOf(picture);
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (x < 0 || x > 1 || y < 0 || y > 1 || this.pins.length >= MOST_PINS) return;
    this.pins.push({ x: Math.round(x * 1e4) / 1e4, y: Math.round(y * 1e4) / 1e4, text: "" });
    this.drawPins();
  }

  drawPins() {
    const pane = this.stage.querySelector(".pane.ours");
    pane?.querySelectorAll(".pin").forEach((one) => one.remove());
    if (!pane || !this.pins.length || this.zoomed) return;
    const [box, outer] = [contentOf(pane.querySelector("img")), pane.getBoundingClientRect()];
    this.pins.forEach((one, place) => {
      const mark = button(`Remove mark ${place + 1}`, { class: "pin" }, String(place + 1));
      mark.style.left = `${box.left - outer.left + one.x * box.width}px`;
      mark.style.top = `${box.top - outer.top + one.y * box.height}px`;
      mark.addEventListener("click", () => {
        this.pins.splice(place, 1);
        this.drawPins();
      });
      pane.append(mark);
    });
  }

  pane(sha, size, alt, caption) {
    const picture = h("img", { src: this.url(sha, size), alt, draggable: "false" });
    if (size === "view") picture.style.backgroundImage = `url("${this.url(sha)}")`;
    return h("figure", { class: "pane" }, picture, h("figcaption", {}, caption));
  }

  handle() {
    const slide = h("input", {
      type: "range", min: 0, max: 100, value: this.split * 100, class: "handle", "aria-label": "How much of each",
    });
    slide.addEventListener("input", () => {
      this.split = slide.value / 100;
      this.place();
    });
    return slide;
  }

  // Moves what depends on where the pointer is.
  place() {
    this.stage.style.setProperty("--split", `${this.split * 100}%`);
    this.stage.style.setProperty("--x", `${this.at.x * 100}%`);
    this.stage.style.setProperty("--y", `${this.at.y * 100}%`);
  }

  point(event) {
    const pane = event.target.closest?.(".pane");
    if (!pane) return;
    const box = pane.getBoundingClientRect();
    this.at = { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
    if (this.mode === "slider" && event.buttons) this.split = Math.min(1, Math.max(0, this.at.x));
    if (this.zoomed || this.mode === "slider") this.place();
  }

  compare() {
    const next = this.mode === null ? 0 : MODES.indexOf(this.mode) + 1;
    this.mode = MODES[next] ?? null;
    this.asked = true;
    this.draw();
    return this.mode ? MODE_WORDS[this.mode] : "Image alone";
  }

  zoom() {
    this.zoomed = !this.zoomed;
    this.draw();
  }

  drawSide(item) {
    const list = this.others(item).map((other, place) => {
      const choose = button(`Compare with ${other.name}`, { class: "ref", "aria-pressed": place === this.other && !!this.mode });
      choose.append(h("img", { src: this.url(other.sha), alt: `${other.name}, ${other.kind}` }));
      choose.append(h("span", {}, other.name), h("small", {}, other.kind === "before" ? beforeWord(item.before) : other.kind));
      choose.addEventListener("click", () => {
        this.mode = this.other === place && this.mode ? null : this.mode || "beside";
        this.other = place;
        this.draw();
      });
      return choose;
    });
    const scores = item.scores.map(([index, value]) => {
      const told = this.review.scoreNames[index];
      return h("div", { class: "score" }, h("b", {}, value.toFixed(2)), h("span", {}, told.name), h("small", {}, told.compared));
    });
    const parts = [
      h("div", { class: "where" }, `${this.review.cursor + 1} of ${this.review.items.length.toLocaleString("en")}`),
      h("h3", {}, nameOf(item)),
      this.standing(item),
      item.missed?.length ? h("p", { class: "missed" }, icon("warn"), item.missed.join("; ")) : null,
      h("div", { class: "acts" }, this.act()),
      ...this.lineage(item),
      h("h4", {}, list.length ? "Kept from" : "No references"),
      h("div", { class: "refs" }, list),
      scores.length ? h("h4", {}, "Scores") : null,
      h("div", { class: "scores" }, scores),
      this.details(item),
    ];
    this.side.replaceChildren(...parts.filter(Boolean));
  }

  standing(item) {
    const by = item.by && item.is !== "open" ? ` by ${item.by}` : "";
    const told = item.conflict || `${WORDS[item.is]}${by}`;
    return h("p", { class: "state", "data-is": item.conflict ? "conflict" : item.is }, icon(item.conflict ? "warn" : item.is), told);
  }

  // Why the attempt before was rejected, and what this one does otherwise.
  lineage(item) {
    const told = [];
    if (item.said) told.push(h("blockquote", {}, item.said));
    if (item.why.length) told.push(h("p", { class: "why" }, item.why.map((name) => this.titles?.[name] || name).join(", ")));
    if (!item.before) return told;
    const changes = item.before.changes || [];
    return [
      ...told,
      h("h4", {}, `Attempt ${item.before.count}`),
      h("p", { class: "why" }, `The one before: ${item.before.why.map((name) => this.titles?.[name] || name).join(", ")}`),
      h("ul", { class: "changes" }, changes.map((one) =>
        h("li", {}, h("b", {}, one.what), " ", one.before ? `${one.before} → ${one.after}` : one.after))),
    ];
  }

  details(item) {
    const facts = h("small", {}, `${item.w} × ${item.h}`);
    const more = h("p", { class: "prompt" });
    const place = h("div", { class: "detail" }, facts, more, h("a", { href: `/asset?item=${item.id}`, target: "_blank", rel: "noopener" }, "All about this image"));
    this.fetchDetail(item).then((told) => {
      if (this.shown !== item.id || !told) return;
      more.textContent = told.prompt;
      facts.textContent = `${item.w} × ${item.h} · seed ${told.request.seed} · guidance ${told.request.guidance}`;
    });
    return place;
  }

  // Asks for the next two pictures before they are wanted.
  ahead() {
    for (const step of [1, 2]) {
      const item = this.review.items[this.review.cursor + step];
      if (item) new Image().src = this.url(item.sha, "view");
    }
  }
}

// Where the pixels of a picture are that is fitted into its element.
function contentOf(picture) {
  const box = picture.getBoundingClientRect();
  const [wide, high] = [picture.naturalWidth || 1, picture.naturalHeight || 1];
  const scale = Math.min(box.width / wide, box.height / high);
  const [width, height] = [wide * scale, high * scale];
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}
