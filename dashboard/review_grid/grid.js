// Grid: only the cards near the view exist, so that 3000 items cost what 30 do.

const GAP = 12;
const WIDEST = 250; // a card is at most so wide; as many as fit stand in a row
const FOOT = 52; // its words

class Grid {
  constructor({ review, url, onOpen }) {
    Object.assign(this, { review, url, onOpen });
    this.cards = new Map();
    this.columns = 1;
    this.canvas = h("div", { class: "canvas", role: "presentation" });
    this.element = h(
      "div",
      { class: "scroller", role: "listbox", tabindex: 0, "aria-label": "Images", "aria-multiselectable": "true" },
      this.canvas,
    );
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resized = new ResizeObserver(() => this.measure());
    this.resized.observe(this.element);
  }

  measure() {
    const width = this.element.clientWidth - 2 * GAP;
    if (width <= 0) return;
    this.columns = Math.max(1, Math.ceil((width + GAP) / (WIDEST + GAP)));
    this.width = (width - GAP * (this.columns - 1)) / this.columns;
    this.height = Math.round(this.width) + FOOT;
    const rows = Math.ceil(this.review.items.length / this.columns);
    this.canvas.style.height = `${rows * (this.height + GAP) + GAP}px`;
    for (const card of this.cards.values()) this.put(card);
    this.draw();
    this.reveal();
  }

  reload() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
    this.element.scrollTop = 0;
    this.measure();
  }

  // Makes the cards that are in view or one row away, and drops the others.
  draw() {
    if (!this.height) return;
    const step = this.height + GAP;
    const first = Math.max(0, Math.floor(this.element.scrollTop / step) - 1) * this.columns;
    const rows = Math.ceil(this.element.clientHeight / step) + 2;
    const last = Math.min(this.review.items.length, first + rows * this.columns);
    const wanted = new Set();
    for (let place = first; place < last; place++) wanted.add(this.review.items[place].id);
    for (const [id, card] of this.cards) {
      if (!wanted.has(id)) {
        card.remove();
        this.cards.delete(id);
      }
    }
    for (const id of wanted) if (!this.cards.has(id)) this.make(this.review.byId.get(id));
    this.point();
  }

  make(item) {
    const picture = h("img", { class: "picture", alt: "", draggable: "false", decoding: "async" });
    const references = h("span", { class: "refs" });
    const card = h(
      "div",
      { class: "card", role: "option", id: `dl-card-${item.id}` },
      h("div", { class: "frame" }, picture, references, h("span", { class: "stack" }), h("span", { class: "who" })),
      h("div", { class: "foot" }, h("span", { class: "name" }), h("span", { class: "state" })),
    );
    card.item = item.id;
    card.addEventListener("click", (event) => this.click(event, item));
    card.addEventListener("dblclick", () => this.onOpen());
    for (const index of item.refs.slice(0, 2)) {
      const reference = this.review.references[index];
      references.append(h("img", { src: this.url(reference.sha), alt: "", loading: "lazy", decoding: "async" }));
    }
    this.cards.set(item.id, card);
    this.put(card);
    this.paint(item);
    this.canvas.append(card);
  }

  put(card) {
    const place = this.review.byId.get(card.item)?.place ?? 0;
    const row = Math.floor(place / this.columns);
    const column = place % this.columns;
    card.style.width = `${this.width}px`;
    card.style.height = `${this.height}px`;
    card.style.transform = `translate(${GAP + column * (this.width + GAP)}px, ${GAP + row * (this.height + GAP)}px)`;
    card.setAttribute("aria-posinset", place + 1);
    card.setAttribute("aria-setsize", this.review.items.length);
  }

  // Everything on a card that can change.
  paint(item) {
    const card = this.cards.get(item.id);
    if (!card) return;
    const picture = card.querySelector(".picture");
    const source = this.url(item.sha);
    if (picture.getAttribute("src") !== source) picture.setAttribute("src", source);
    card.dataset.is = item.is;
    card.classList.toggle("selected", this.review.selected.has(item.id));
    card.classList.toggle("current", this.review.current === item);
    card.setAttribute("aria-selected", this.review.selected.has(item.id) || this.review.current === item);
    card.querySelector(".name").textContent = nameOf(item);
    const words = item.conflict ? "Conflict" : item.isBack && item.is === "open" ? "Next attempt" : WORDS[item.is];
    const state = card.querySelector(".state");
    state.replaceChildren(icon(item.conflict ? "warn" : item.is), words);
    state.dataset.is = item.conflict ? "conflict" : item.is;
    const stack = card.querySelector(".stack");
    stack.hidden = !item.stack;
    if (item.stack && !stack.firstChild) stack.append(icon("stack"), String(item.stackSize));
    const other = this.review.others[item.id];
    const who = card.querySelector(".who");
    who.hidden = !other;
    if (other) who.replaceChildren(icon("person"), other);
    const said = [nameOf(item), words, other && `${other} is looking at it`, item.stack && `stack of ${item.stackSize}`];
    card.setAttribute("aria-label", said.filter(Boolean).join(", "));
  }

  paintAll() {
    for (const id of this.cards.keys()) this.paint(this.review.byId.get(id));
    this.point();
  }

  point() {
    const current = this.review.current;
    if (current && this.cards.has(current.id)) this.element.setAttribute("aria-activedescendant", `dl-card-${current.id}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  // Scrolls so that the item in view is in view.
  reveal() {
    if (!this.review.current || !this.height) return;
    const top = Math.floor(this.review.cursor / this.columns) * (this.height + GAP);
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height + 2 * GAP > scrollTop + clientHeight) {
      this.element.scrollTop = top + this.height + 2 * GAP - clientHeight;
    }
  }

  click(event, item) {
    this.element.focus({ preventScroll: true });
    if (event.shiftKey) this.review.move(item.place, true);
    else if (event.ctrlKey || event.metaKey) this.review.toggle(item);
    else this.review.move(item.place);
  }

  close() {
    this.resized.disconnect();
  }
}
