// Outbox: decisions on their way. Sent in batches, kept in the browser until the server has them, sent again
// after a failure. Each has an id of its own, so that arriving twice changes nothing.

const BATCH = 20;
const MOST = 100; // decisions sent at once
const ROOM = 1_500_000; // bytes of one request: the server takes 2 MB
const ROOM_LEAVING = 60_000; // and while the page closes: browsers let 64 KiB outlive it
const PATIENCE = 600; // milliseconds that a decision may wait for others
const LONGEST_PAUSE = 8000;

class Outbox {
  // `send(decisions, isLeaving)` answers {status, answers, error}; `onAnswers(answers, decisions)` and
  // `onRefused(decisions, error)` get what came back; `onState({unsent, state})` hears of every change.
  constructor({ name, send, onAnswers, onRefused, onState }) {
    Object.assign(this, { name, send, onAnswers, onRefused, onState });
    this.place = `${name}#${randomId()}`;
    this.waiting = [];
    this.pause = 0;
    this.most = MOST;
    this.sending = false;
    this.timer = null;
    this.state = "saved";
    this.adopt();
  }

  // Takes over what an earlier visit could not send.
  adopt() {
    for (const place of Object.keys(localStorage)) {
      if (!place.startsWith(`${this.name}#`)) continue;
      try {
        const known = new Set(this.waiting.map((one) => one.id));
        this.waiting.push(...JSON.parse(localStorage.getItem(place)).filter((one) => !known.has(one.id)));
      } catch {
        // Not ours, or cut off in the middle of writing: nothing that could be sent.
      }
      localStorage.removeItem(place);
    }
    this.keep();
    if (this.waiting.length) this.later(0);
    this.tell();
  }

  add(decisions) {
    this.waiting.push(...decisions);
    this.keep();
    this.tell();
    this.later(this.waiting.length >= BATCH ? 0 : PATIENCE);
  }

  holds(item) {
    return this.waiting.some((one) => one.item === item);
  }

  later(milliseconds) {
    if (this.sending) return;
    if (this.timer && milliseconds > 0 && !this.pause) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), Math.max(milliseconds, this.pause));
  }

  // Tries at once, for instance because the network or a token came back.
  hurry() {
    this.pause = 0;
    if (this.waiting.length) this.later(0);
  }

  async flush() {
    this.timer = null;
    if (this.sending || !this.waiting.length) return;
    this.sending = true;
    const batch = fitting(this.waiting.slice(0, this.most), ROOM);
    this.tell();
    let reply;
    try {
      reply = await this.send(batch, false);
    } catch {
      reply = { status: 0 };
    }
    this.sending = false;
    if (reply.status === 422 && batch.length > 1) {
      // One that can't be kept is among them: halves, until it is alone and the others are recorded.
      this.most = batch.length >> 1;
    } else if (reply.status === 200) {
      this.done(batch);
      this.pause = 0;
      this.most = Math.min(MOST, this.most * 2);
      this.state = "saved";
      this.onAnswers(reply.answers, batch);
    } else if (reply.status === 403 || reply.status === 422) {
      this.done(batch);
      this.most = Math.min(MOST, this.most * 2);
      this.state = "refused";
      this.onRefused(batch, reply.error);
    } else {
      if (reply.status >= 500) this.part(batch);
      this.state = reply.status === 401 ? "renewing" : "offline";
      this.pause = Math.min(LONGEST_PAUSE, this.pause * 2 || 500);
    }
    this.tell();
    if (this.waiting.length) this.later(0);
  }

  // The server failed, perhaps over one of these: halves, and what fails alone goes behind the others, in the order
  // that it has among those of its item.
  part(batch) {
    this.most = Math.max(1, batch.length >> 1);
    if (batch.length > 1) return;
    const [{ item }] = batch;
    const others = this.waiting.filter((one) => one.item !== item);
    this.waiting = [...others, ...this.waiting.filter((one) => one.item === item)];
    this.keep();
  }

  done(batch) {
    const ids = new Set(batch.map((one) => one.id));
    this.waiting = this.waiting.filter((one) => !ids.has(one.id));
    this.keep();
  }

  keep() {
    try {
      if (this.waiting.length) localStorage.setItem(this.place, JSON.stringify(this.waiting));
      else localStorage.removeItem(this.place);
    } catch {
      // No room or no storage: the decisions are still here as long as the page is.
    }
  }

  tell() {
    this.onState({ unsent: this.waiting.length, state: this.waiting.length ? this.state : "saved" });
  }

  // The page may be gone before an answer comes: what is sent here also stays in the browser, and so does what
  // found no room. A request on its way ends with the page, so that its decisions are sent once more.
  leave() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.waiting.length) this.send(fitting(this.waiting.slice(0, MOST), ROOM_LEAVING), true).catch(() => null);
  }

  // The page stays, but this grid ends.
  close() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.waiting.length && !this.sending) this.flush();
  }
}

// As many from the front as have room, and at least one.
function fitting(decisions, room) {
  const encoder = new TextEncoder();
  let used = 200; // what stands around them
  const over = decisions.findIndex((one) => (used += encoder.encode(JSON.stringify(one)).length + 1) > room);
  return over < 0 ? decisions : decisions.slice(0, Math.max(1, over));
}
