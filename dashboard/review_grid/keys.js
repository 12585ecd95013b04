// Keys: which key does what. Only when the person is not writing and no other part of the page has the focus.

const MANY = 50; // more than so many at once are asked about first

const CONTROLS = "a, button, input, textarea, select, [contenteditable=true], [role=button], [role=combobox], [role=dialog]," +
  "[role=listbox], [role=menu], [role=tab]";
const WRITING = "input:not([type=range]), textarea, select, [contenteditable=true]";

// Whether a key press is meant for us: nothing has the focus that has keys of its own, and nobody is writing.
function isOurs(event, root) {
  const target = event.composedPath()[0];
  if (event.isComposing || !(target instanceof Element)) return false;
  return event.composedPath().includes(root) ? !target.closest(WRITING) : !target.closest(CONTROLS);
}

function makeKeys(app) {
  const { review, grid, single, panels } = app;

  const act = (verdict) => many(verdict, (items, seen) => review.decide(items, verdict, {}, seen));

  // `then(items, seen)`: what is decided is decided on what is seen now, whatever a question takes.
  const many = (words, then) => {
    if (!app.may("decide")) return app.say("You may look, but not decide.");
    const items = review.targets;
    if (!items.length) return app.say("Nothing to decide here.");
    const seen = review.look(items);
    const title = `${plural(items.length, "image")} at once?`;
    if (items.length <= MANY) return then(items, seen);
    panels.confirm(title, "One undo takes all of it back.", `Yes, all ${items.length}`, () => then(items, seen));
  };

  const change = () =>
    many("change", (items, seen) => {
      const [first] = items;
      const said = items.length === 1 ? { reasons: first.why, comment: first.said } : { reasons: [], comment: "" };
      const before = review.unsaid.get(first.id) || said;
      const pins = single.isOpen && items.length === 1 ? single.pins : [];
      panels.askForChange(items.length, before, (more) => review.decide(items, "rejected", { ...more, pins }, seen));
    });

  const best = () => {
    if (!app.may("decide")) return app.say("You may look, but not decide.");
    const here = review.current;
    if (here?.is === "making") return app.say("This image is being made again.");
    const stack = here ? review.stackOf(here).filter((item) => item.is !== "making") : [];
    if (stack.length < 2) return app.say("This image is in no stack.");
    review.split(here, stack.filter((item) => item !== here));
    app.say(`Best of ${stack.length}: one approved, ${stack.length - 1} rejected.`);
  };

  const toggleSingle = () => (single.isOpen ? app.toGrid() : app.toSingle());
  const compare = () => {
    if (!single.isOpen) app.toSingle();
    app.say(single.compare());
  };
  const zoom = () => {
    if (!single.isOpen) app.toSingle();
    single.zoom();
  };

  const plain = {
    p: () => act("approved"),
    x: () => act("rejected"),
    u: () => act("cleared"),
    e: change,
    z: () => review.undo(),
    d: compare,
    i: zoom,
    s: best,
    " ": toggleSingle,
    Enter: toggleSingle,
    Escape: () => (single.isOpen ? app.toGrid() : review.clearSelection()),
    "?": () => panels.help(),
    "/": () => app.search(),
    Home: () => review.move(0),
    End: () => review.move(review.items.length - 1),
  };

  const step = (event) => {
    const across = single.isOpen ? 1 : grid.columns;
    const page = across * Math.max(1, Math.floor(grid.element.clientHeight / (grid.height || 1)));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, PageUp: -page, PageDown: page };
    return steps[event.key];
  };

  return {
    act, change, best,
    press(event) {
      if (panels.isOpen) {
        // Also for keys that mean nothing here: what lies under a panel must not hear them.
        if (panels.press(event)) event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      if (!isOurs(event, app.root)) return;
      const target = event.composedPath()[0];
      if (target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter")) return;
      if (target instanceof HTMLInputElement) return; // the slider's own arrows
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") review.selectAll();
      else if (event.ctrlKey || event.metaKey || event.altKey) return;
      else if (step(event) !== undefined) review.move(review.cursor + step(event), event.shiftKey && !single.isOpen);
      else if (event.shiftKey && event.key.toLowerCase() === "z") review.redo();
      else {
        const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (!plain[name] || (event.shiftKey && name !== "?" && name !== "/")) return;
        plain[name]();
      }
      event.preventDefault();
      event.stopPropagation();
    },
  };
}
