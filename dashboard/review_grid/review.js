// Review: the items, how they stand, where the person is, and what can be undone. Knows no elements.

const ADVANCE_OVER = new Set(["approved", "rejected", "proposed", "making"]);
const KEPT = " What you wrote is kept: press E to go on with it.";

class Review {
  constructor({ me, outbox, changed, say }) {
    Object.assign(this, { me, outbox, changed, say });
    this.items = [];
    this.byId = new Map();
    this.cursor = 0;
    this.anchor = 0;
    this.selected = new Set();
    this.done = [];
    this.undone = [];
    this.asked = new Set(); // our decisions that another attempt was made for
    this.unsaid = new Map(); // by item: reasons and comment that were written and could not be recorded
    this.looked = new Map(); // by item: what was seen when the panel opened that asks about them
    this.others = {};
    this.since = performance.now();
    this.number = 0;
  }

  load(listing) {
    const here = this.current?.id;
    this.references = listing.references;
    this.scoreNames = listing.scores;
    this.items = listing.items;
    this.items.forEach((item, place) => (item.place = place));
    this.byId = new Map(this.items.map((item) => [item.id, item]));
    this.number = listing.number;
    this.selected.clear();
    this.cursor = this.byId.get(here)?.place ?? 0;
    this.anchor = this.cursor;
    this.since = performance.now();
    for (const wish of this.outbox.waiting) this.apply(this.byId.get(wish.item), wish);
  }

  get current() {
    return this.items[this.cursor];
  }

  // What a key acts on: the selection if there is one, else the item in view.
  get targets() {
    const chosen = this.selected.size ? this.items.filter((item) => this.selected.has(item.id)) : [this.current];
    return chosen.filter((item) => item && item.is !== "making");
  }

  move(to, extend = false) {
    if (!this.items.length) return;
    const before = this.cursor;
    this.cursor = Math.min(this.items.length - 1, Math.max(0, to));
    if (extend) this.selectRange(this.anchor, this.cursor);
    else {
      this.anchor = this.cursor;
      if (this.selected.size) this.clearSelection();
    }
    if (before !== this.cursor) this.since = performance.now();
    this.changed("cursor");
  }

  selectRange(from, to) {
    this.selected.clear();
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let place = low; place <= high; place++) this.selected.add(this.items[place].id);
    this.changed("selection");
  }

  toggle(item) {
    if (!this.selected.size && this.current && this.current !== item) this.selected.add(this.current.id);
    if (this.selected.has(item.id)) this.selected.delete(item.id);
    else this.selected.add(item.id);
    this.cursor = this.anchor = item.place;
    this.changed("selection");
  }

  selectAll() {
    this.items.forEach((item) => this.selected.add(item.id));
    this.changed("selection");
  }

  clearSelection() {
    this.selected.clear();
    this.changed("selection");
  }

  // How items stand as they are seen now: what a decision about them is about.
  look(items) {
    this.looked = new Map(items.map((item) => [item.id, { v: item.v, seen: item.seen, sha: item.sha }]));
    return this.looked;
  }

  // Decides on items as they were `seen`; `more` has reasons, comment, pins, again. One action, one undo.
  decide(items, verdict, more = {}, seen = this.look(items)) {
    const here = items.map((item) => this.byId.get(item.id) || item);
    const able = here.filter((item) => item.is !== "making");
    if (able.length < here.length) {
      const left = here.filter((item) => item.is === "making");
      const kept = left.filter((item) => this.remember(item.id, more)).length ? KEPT : "";
      this.say(`Nothing sent about ${plural(left.length, "image")} being made again.${kept}`);
    }
    if (!able.length) return;
    const milliseconds = Math.round((performance.now() - this.since) / able.length);
    const action = able.map((item) => this.change(item, verdict, { ...more, milliseconds }, seen.get(item.id)));
    this.finish(action);
    this.undone = [];
    if (able.length === 1 && !this.selected.size) this.advance();
    else this.clearSelection();
    this.since = performance.now();
  }

  // Keeps what was written about an item for when it is written about again; says whether there is anything to keep.
  remember(id, { undoes, reasons = [], comment = "" }) {
    if (undoes || (!reasons.length && !comment)) return false;
    this.unsaid.set(id, { reasons, comment });
    return true;
  }

  // Some approved, the others rejected, as one action: the best of a stack.
  split(best, rest) {
    const change = (item, verdict) => this.change(item, verdict, { milliseconds: 0 });
    this.finish([change(best, "approved"), ...rest.map((item) => change(item, "rejected"))]);
    this.undone = [];
    this.clearSelection();
    this.advance();
  }

  change(item, verdict, more = {}, { v, seen, sha } = item) {
    const wish = { id: randomId(), item: item.id, version: v, seen, verdict, ...more, sha };
    const before = { is: item.is, why: item.why, said: item.said, by: item.by, sha: item.sha, w: item.w, h: item.h };
    this.apply(item, wish);
    return { item: item.id, before, wish, stands: wish.id };
  }

  apply(item, wish) {
    if (!item) return;
    item.is = wish.verdict === "cleared" ? "open" : wish.verdict;
    if (wish.again && wish.verdict === "rejected") item.is = "making";
    item.why = wish.reasons || [];
    item.said = wish.comment || "";
    item.by = this.me;
    item.seen = wish.id;
    item.conflict = null;
  }

  finish(action) {
    this.done.push(action);
    this.outbox.add(action.map((change) => change.wish));
    this.changed("items", action.map((change) => change.item));
  }

  undo() {
    const action = this.done.pop();
    if (!action) return this.say("Nothing to undo.");
    const able = action.filter((change) => this.isOurs(change));
    const left = action.length - able.length;
    const others = left ? ` ${plural(left, "image")} left as others decided.` : "";
    if (!able.length) return this.say(`Nothing undone.${others}`);
    this.outbox.add(able.map((change) => this.revert(this.byId.get(change.item), change)));
    this.undone.push(able);
    this.changed("items", able.map((change) => change.item));
    this.show(able[0].item);
    this.say(`Undone: ${plural(able.length, "image")}.${others}`);
  }

  // Whether an item still stands as this change of ours left it.
  isOurs({ item: id, wish, stands }) {
    const item = this.byId.get(id);
    return !!item && (item.seen === stands || (item.seen === null && this.asked.has(wish.id)));
  }

  revert(item, change) {
    const { before, wish, stands } = change;
    const verdict = { open: "cleared", proposed: "approved", making: "cleared" }[before.is] || before.is;
    const back = { id: randomId(), item: item.id, version: item.v, seen: item.seen, verdict, sha: item.sha };
    change.left = back.id;
    back.undoes = this.asked.has(wish.id) ? wish.id : stands;
    // What this restores is what an earlier change of ours left: undoing that one starts from here.
    for (const one of this.done.flat()) {
      if (one.item === item.id && one.stands === wish.seen) one.stands = back.id;
    }
    if (verdict === "rejected") Object.assign(back, { reasons: before.why, comment: before.said });
    this.apply(item, back);
    Object.assign(item, { sha: before.sha, w: before.w, h: before.h });
    if (before.is === "proposed") item.is = "proposed";
    return back;
  }

  redo() {
    const action = this.undone.pop();
    if (!action) return this.say("Nothing to redo.");
    const able = action.filter(({ item, left }) => this.byId.get(item)?.seen === left);
    const left = action.length - able.length;
    const others = left ? ` ${plural(left, "image")} left as others decided.` : "";
    if (!able.length) return this.say(`Nothing redone.${others}`);
    const again = able.map((change) => this.repeat(this.byId.get(change.item), change));
    this.finish(again);
    this.show(again[0].item);
    if (left) this.say(`Redone: ${plural(able.length, "image")}.${others}`);
  }

  repeat(item, { wish: { id, item: _, version, seen, verdict, sha, ...more }, stands }) {
    const again = this.change(item, verdict, more);
    // Where the undo of a later change of ours led to is here: redoing that one starts from here.
    for (const one of this.undone.flat()) {
      if (one.item === item.id && one.left === stands) one.left = again.wish.id;
    }
    return again;
  }

  show(id) {
    const item = this.byId.get(id);
    if (item) this.move(item.place);
  }

  // On to the next item that nobody decided and nobody else is looking at; the next one where there is none.
  advance() {
    for (let step = 1; step < this.items.length; step++) {
      const item = this.items[this.cursor + step];
      if (!item) break;
      if (!ADVANCE_OVER.has(item.is) && !this.others[item.id]) return this.move(item.place);
    }
    this.move(this.cursor + 1);
  }

  // What the server made of decisions that were sent.
  answered(answers, wishes) {
    const sent = new Map(wishes.map((wish) => [wish.id, wish]));
    const touched = [];
    for (const answer of answers) {
      const item = this.byId.get(answer.item);
      if (!item) continue;
      touched.push(item.id);
      const wish = sent.get(answer.id);
      if (answer.outcome === "conflict") this.collide(item, answer, wish);
      else if (wish?.verdict === "rejected") this.unsaid.delete(item.id);
      if (this.outbox.holds(item.id)) continue;
      this.settle(item, answer, wish);
      if (answer.attempt) this.say(`${nameOf(item)}: ${answer.attempt}`);
    }
    this.changed("items", touched);
  }

  settle(item, answer, wish) {
    const newer = answer.version !== item.v;
    // An answer that was lost is not told again in full: that there is another attempt shows by the version.
    if (newer && (answer.attempt || (answer.outcome === "already" && wish?.again))) this.asked.add(answer.id);
    const looked = this.looked.get(item.id);
    if (answer.outcome !== "conflict" && looked?.seen === answer.id) {
      Object.assign(looked, { v: answer.version, seen: answer.decision });
    }
    item.v = answer.version;
    item.seen = answer.decision;
    item.by = answer.actor;
    item.is = answer.verdict === "open" && answer.outcome !== "unknown" && !answer.sha ? "making" : answer.verdict;
    this.take(item, answer);
  }

  // A version is taken over only together with its picture: what is decided is what is drawn. An item that is
  // being made keeps showing the picture it had.
  take(item, { sha, w, h }) {
    if (!sha || sha === item.sha) return;
    Object.assign(item, { sha, w, h, before: null });
  }

  collide(item, answer, wish = {}) {
    this.settle(item, answer);
    item.conflict = answer.actor
      ? `${answer.actor} ${WORDS[answer.verdict].toLowerCase()} this first. Yours was not recorded.`
      : "The image changed meanwhile. Yours was not recorded.";
    this.say(`${nameOf(item)}: ${item.conflict}${this.remember(item.id, wish) ? KEPT : ""}`);
  }

  refused(wishes, error) {
    this.say(error || "The server refused these decisions.");
    for (const wish of wishes) {
      const item = this.byId.get(wish.item);
      if (item) item.conflict = error || "Refused.";
    }
    this.changed("refused", wishes.map((wish) => wish.item));
  }

  // What others did since; items that wait for our own decisions to arrive keep how they look.
  heard(changes) {
    this.number = Math.max(this.number, changes.number);
    const touched = [];
    for (const told of changes.back) {
      const item = this.byId.get(told.id);
      if (!item || item.sha === told.sha || this.outbox.holds(item.id)) continue;
      item.before = { sha: item.sha, why: told.why, changes: told.changes, count: told.count, by: told.by };
      Object.assign(item, { v: told.v, sha: told.sha, w: told.w, h: told.h, is: "open", seen: null, why: [], said: "" });
      item.isBack = true;
      touched.push(item.id);
      this.say(`${nameOf(item)}: the next attempt is here.`);
    }
    for (const told of changes.items) {
      const item = this.byId.get(told.id);
      if (!item || this.outbox.holds(item.id) || isSame(item, told)) continue;
      Object.assign(item, { v: told.v, is: told.is, seen: told.seen, by: told.by });
      if (told.sha && told.sha !== item.sha) this.say(`${nameOf(item)}: another picture is here.`);
      this.take(item, told);
      touched.push(item.id);
    }
    if (touched.length) this.changed("items", touched);
  }

  stackOf(item) {
    return item.stack ? this.items.filter((one) => one.stack === item.stack) : [item];
  }

  counts() {
    const counts = { open: 0, proposed: 0, approved: 0, rejected: 0, making: 0 };
    for (const item of this.items) counts[item.is] += 1;
    return counts;
  }
}

function isSame(item, told) {
  return item.v === told.v && item.seen === told.seen && item.is === told.is && (!told.sha || item.sha === told.sha);
}
