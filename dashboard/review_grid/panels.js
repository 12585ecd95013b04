// Panels: what lies over the grid for a moment: reasons for a change, a question before many, the keys.

const LONGEST_COMMENT = 4000; // characters that the server keeps

class Panels {
  constructor({ root, reasons, onClose }) {
    Object.assign(this, { root, reasons, onClose });
    this.element = h("div", { class: "overlay", hidden: true });
    this.element.addEventListener("click", (event) => event.target === this.element && this.close());
    this.name = null;
  }

  get isOpen() {
    return this.name !== null;
  }

  show(name, title, children, focus) {
    this.name = name;
    const close = button("Close", { class: "plain", onclick: () => this.close() }, icon("close"));
    const box = h("div", { class: `panel ${name}`, role: "dialog", "aria-modal": "true", "aria-label": title },
      h("header", {}, h("h3", {}, title), close), ...children);
    this.element.replaceChildren(box);
    this.element.hidden = false;
    (focus || box.querySelector("button.primary") || close).focus();
  }

  close() {
    if (!this.isOpen) return;
    this.name = null;
    this.element.hidden = true;
    this.element.replaceChildren();
    this.onClose();
  }

  // Reasons by number, a comment, and whether to try again. `then({reasons, comment, again})`.
  askForChange(count, before, then) {
    const chosen = new Set(before.reasons);
    const chips = this.reasons.map((reason, place) => {
      const chip = button(reason.about, { class: "chip", "aria-pressed": chosen.has(reason.name) },
        key(String(place + 1)), reason.title);
      chip.removeAttribute("aria-label");
      chip.addEventListener("click", () => this.toggle(chip, chosen, reason.name));
      return chip;
    });
    const comment = h("textarea", {
      rows: 3, maxlength: LONGEST_COMMENT, "aria-label": "Comment", placeholder: "What should be different? (T)",
    });
    comment.value = before.comment;
    const again = h("input", { type: "checkbox", checked: true });
    again.checked = true;
    const send = () => {
      this.close();
      then({ reasons: [...chosen], comment: comment.value.trim(), again: again.checked && chosen.size > 0 });
    };
    const done = h("button", { type: "button", class: "primary", onclick: send }, "Reject and ask again ", key("Ctrl Enter"));
    this.chips = chips;
    this.comment = comment;
    this.send = send;
    this.show("change", count === 1 ? "What is wrong with this image?" : `What is wrong with these ${count} images?`, [
      h("div", { class: "chips", role: "group", "aria-label": "Reasons" }, chips),
      comment,
      h("label", { class: "again" }, again, "Make another attempt that takes the reasons into account"),
      h("footer", {}, h("button", { type: "button", onclick: () => this.close() }, "Cancel ", key("Esc")), done),
    ], chips[0]);
  }

  toggle(chip, chosen, name) {
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    chip.setAttribute("aria-pressed", chosen.has(name));
  }

  confirm(title, words, label, then) {
    const go = h("button", { type: "button", class: "primary", onclick: () => { this.close(); then(); } }, label);
    this.show("confirm", title, [
      h("p", {}, words),
      h("footer", {}, h("button", { type: "button", onclick: () => this.close() }, "Cancel"), go),
    ], go);
  }

  help() {
    const row = ([keys, words]) => [h("dt", {}, keys.map((one) => key(one))), h("dd", {}, words)];
    this.show("help", "Keys", [h("dl", {}, KEYS.flatMap(row))]);
  }

  // Keys inside a panel; true when one was used.
  press(event) {
    if (event.key === "Escape") {
      this.close();
      return true;
    }
    if (event.key === "Tab") return this.keepInside(event);
    if (this.name !== "change") return false;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      this.send();
      return true;
    }
    if (event.composedPath()[0] === this.comment) return false;
    const place = "123456789".indexOf(event.key);
    if (place >= 0 && event.key.length === 1 && this.chips[place]) {
      this.chips[place].click();
      return true;
    }
    if (event.key.toLowerCase() === "t" && !event.ctrlKey && !event.metaKey) {
      this.comment.focus();
      return true;
    }
    return false;
  }

  keepInside(event) {
    const able = [...this.element.querySelectorAll("button, textarea, input")];
    const here = able.indexOf(event.composedPath()[0]);
    const next = event.shiftKey ? here - 1 : here + 1;
    able[(next + able.length) % able.length].focus();
    return true;
  }
}

const KEYS = [
  [["P"], "approve"],
  [["X"], "reject"],
  [["U"], "take the verdict back"],
  [["E"], "ask for a change: 1-9 reasons, T comment, Ctrl Enter send"],
  [["Z", "Shift Z"], "undo, redo"],
  [["Space", "Enter"], "single view"],
  [["Esc"], "back to the grid"],
  [["← ↑ ↓ →"], "move"],
  [["Shift ←→", "Ctrl click", "Ctrl A"], "select; the same keys then act on the selection"],
  [["D"], "compare: side by side, slider, blink"],
  [["I"], "100 %, in step with the reference"],
  [["Click"], "in the single view: mark a place; marks go along with E"],
  [["S"], "best of its stack: approve this, reject the others"],
  [["/"], "search"],
  [["?"], "these keys"],
];
