// The page of operators about how mail leaves. It asks for the services and the counts
// of the queue every few seconds, is told of the transitions of services at once, and
// steers both by the operations that every other client of the interface has.

const $ = id => document.getElementById(id);
const every = 2000;        // ms between two looks
const timeout = 20_000;    // ms that a request may take
const silence = 45_000;    // ms without a word after which a stream is dead: it has one each 15 s
const again = 2000;        // ms until it is tried again
const pageSize = 50;       // entries of the queue
const shownEvents = 100;
const sayFor = 8000;       // ms

// The token stays in this tab.
const token = {
  get() { try { return sessionStorage.getItem("restante-admin-token") ?? ""; } catch { return this.held; } },
  set(value) { this.held = value; try { sessionStorage.setItem("restante-admin-token", value); } catch { /* held here */ } },
  clear() { this.held = ""; try { sessionStorage.removeItem("restante-admin-token"); } catch { /* nothing there */ } },
  held: "",
};

// Times of the server are compared with its own clock: that of this machine may be wrong.
const clock = {
  ahead: 0,
  now() { return Date.now() + this.ahead; },
  hear(response) {
    const ahead = Date.parse(response.headers.get("Date") ?? "") + 500 - Date.now(); // the field has whole seconds
    this.ahead = Math.abs(ahead) >= 2000 ? ahead : 0;
  },
};

// The server: what goes wrong is a Problem, with the status 0 where nothing came.

class Problem extends Error {
  constructor(status, document) {
    super(document?.detail || document?.title || (status ? `the server said ${status}` : "the server does not answer"));
    this.status = status;
  }
}

async function ask(method, path, body, headers = {}) {
  try {
    const response = await fetch(path, {
      method, signal: AbortSignal.timeout(timeout),
      headers: { Authorization: `Bearer ${token.get()}`, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body && JSON.stringify(body),
    });
    clock.hear(response);
    const text = await response.text();
    const document = text && (response.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(text) : null;
    if (!response.ok) throw new Problem(response.status, document);
    return document;
  } catch (e) {
    throw e instanceof Problem ? e : new Problem(0);
  }
}

const servicePath = name => `v1/services/${encodeURIComponent(name)}`;
const entryPath = e => `v1/queue/${e.message}/${e.number}`;

// Drawing.

function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.filter(c => c != null));
  return e;
}

// write changes what an element says, if that is another thing than before: who has
// the focus in it, selects it or listens to it is not disturbed.
function write(element, ...children) {
  const next = make("div", "", ...children);
  if (element.innerHTML !== next.innerHTML) element.replaceChildren(...next.childNodes);
}

const small = text => text ? make("small", "", text) : null;
const few = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function span(seconds) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return `${few.format(Math.floor(seconds / length))} ${unit}`;
  }
  return `${few.format(Math.max(0, Math.floor(seconds)))} s`;
}
const since = time => span((clock.now() - Date.parse(time)) / 1000);
const until = time => span((Date.parse(time) - clock.now()) / 1000);
const milliseconds = n => n >= 1000 ? `${some.format(n / 1000)} s` : `${some.format(n)} ms`;
const octets = n => n >= 1 << 20 ? `${some.format(n / (1 << 20))} MiB` : n >= 1024 ? `${some.format(n / 1024)} KiB` : `${n} B`;
const moment = time => new Date(time).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

function say(text, wrong) {
  const p = make("p", wrong ? "wrong" : "", text);
  $("said").replaceChildren(p);
  setTimeout(() => p.remove(), sayFor);
}

function fail(text) {
  $("notice").hidden = !text;
  if ($("notice-text").textContent !== text) $("notice-text").textContent = text;
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text ?? "";
}

// row makes a row whose cells are named as the columns of its table: it is a card on a
// small screen.
function row(table) {
  const names = [...table.tHead.rows[0].cells].map(c => c.textContent);
  const tr = make("tr");
  tr.setAttribute("role", "row");
  const cells = names.map((name, i) => {
    const cell = make(i ? "td" : "th", "", make("div"));
    cell.setAttribute("role", i ? "cell" : "rowheader");
    if (!i) cell.scope = "row";
    cell.dataset.label = name;
    tr.append(cell);
    return cell.firstChild;
  });
  return [tr, cells];
}

// one runs something that a button is for, once at a time, and says what went wrong.
async function one(button, doing, run, tell = text => say(text, true)) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    await run();
  } catch (e) {
    if (!(e instanceof Problem)) throw e;
    if (e.status === 401) return enter("The server does not know this token.");
    tell(`${doing}: ${e.message}.`);
  } finally {
    button.ariaDisabled = "false";
  }
}

// What waits.

const counts = ["Waits", "Oldest", "Ready", "Being sent", "Deferred", "Held: nobody knows whether it arrived"].map(name => {
  const tile = make("li", "tile", make("h3", "", name), make("p", "", "–"), make("div", "parts"));
  $("counts").append(tile);
  return tile;
});

function drawCounts(stats) {
  const of = state => stats.classes.map(c => [c.class, c[state]]).filter(([, n]) => n);
  const sum = state => of(state).reduce((n, [, m]) => n + m, 0);
  const parts = state => of(state).map(([name, n]) => `${name} ${few.format(n)}`).join(" · ");
  const values = [
    [few.format(stats.total), ""], [stats.total ? span(stats.oldest_age_s) : "–", ""],
    ...["ready", "sending", "deferred", "held"].map(state => [few.format(sum(state)), parts(state)]),
  ];
  counts.forEach((tile, i) => {
    write(tile.children[1], values[i][0]);
    write(tile.children[2], values[i][1]);
  });
  counts.at(-1).classList.toggle("bad", sum("held") > 0);
}

// Services. A row stays as long as its service does.

const verbs = {
  drain: ["Drain", name => `${name} finishes what it has, and is given no more.`],
  resume: ["Resume", name => `${name} may be given mail again.`],
  probe: ["Probe", name => `${name} is being probed.`],
  trip: ["Trip", name => `${name} is left alone, as if it had failed.`],
  reset: ["Reset", name => `What was wrong with ${name} is forgotten.`],
};

class Row {
  constructor(name) {
    this.name = name;
    [this.tr, this.cells] = row($("services"));
    this.input = make("input");
    this.input.type = "number";
    this.input.step = "any";
    this.input.ariaLabel = `Weight of ${name}`;
    this.input.onchange = () => this.weigh();
    this.weight = make("div");
    this.cells[2].append(this.input, this.weight);
    this.bar = make("span");
    this.share = make("div");
    this.cells[3].append(this.share, make("span", "bar", this.bar));
    this.buttons = {};
    const steer = make("div", "steer");
    for (const [verb, [label]] of Object.entries(verbs)) {
      const button = this.buttons[verb] = make("button", "quiet small", label);
      button.type = "button";
      button.ariaLabel = `${label} ${name}`;
      button.onclick = () => this.steer(verb);
      steer.append(button);
    }
    this.cells.at(-1).append(steer);
  }

  async steer(verb) {
    const button = this.buttons[verb];
    await one(button, `${verbs[verb][0]} ${this.name}`, async () => {
      await ask("POST", `${servicePath(this.name)}/${verb}`);
      say(verbs[verb][1](this.name));
      const had = document.activeElement === button;
      await look();
      if (had && button.hidden) this.buttons[verb === "drain" ? "resume" : "drain"].focus();
    });
  }

  async weigh() {
    const weight = this.input.valueAsNumber;
    const entered = this.input.value;
    await one(this.input, `Weight of ${this.name}`, async () => {
      if (!(weight > 0)) throw new Problem(422, { detail: "it is a number above 0" });
      await ask("PATCH", servicePath(this.name), { weight }, { "If-Match": `"${this.service.revision}"` });
      say(`The weight of ${this.name} is ${weight}.`);
    });
    await look().catch(() => {}); // the next turn says what is wrong
    if (this.input.value === entered) this.input.value = this.service.document.weight; // or somebody types on
  }

  draw(s) {
    this.service = s;
    const [name, state, , , flight, recipients, took, beat] = this.cells;
    const d = s.document;
    write(name, d.name, small([d.kind, d.endpoint, s.static ? "configured" : "registered"].filter(Boolean).join(" · ")),
      ...(d.tags ?? []).map(tag => make("span", "tag", tag)));
    write(state, make("span", `is ${s.state}`, s.state), small(`for ${since(s.since)}${s.reason ? `: ${s.reason}` : ""}`),
      s.resting_until ? small(`rests another ${until(s.resting_until)}`) : null,
      s.next_trial ? small(`is tried in ${until(s.next_trial)}`) : null,
      s.note ? small(`says: ${s.note}`) : null);
    if (document.activeElement !== this.input) this.input.value = d.weight;
    const given = some.format(s.weight);
    write(this.weight, given === some.format(d.weight) ? null : small(`just now ${given}`));
    write(this.share, `${few.format(100 * s.share)} %`);
    this.bar.style.width = `${100 * s.share}%`;
    write(flight, make("span", "number", `${few.format(s.in_flight)} of ${few.format(s.room)}`));
    const bad = Object.entries(s.results ?? {}).filter(([result, n]) => result !== "success" && n).sort((a, b) => b[1] - a[1]);
    write(recipients, make("span", "number", `${few.format(s.results?.success ?? 0)} taken`),
      ...bad.map(([result, n]) => make("small", "", make("span", "bad", few.format(n)), ` ${result}`)),
      d.limits?.per_day ? small(`${few.format(s.last_day)} of ${few.format(d.limits.per_day)} a day`) : null);
    write(took, ...(s.p99_ms > 0 ? [make("span", "number", milliseconds(s.p50_ms)), small(`99 of 100: ${milliseconds(s.p99_ms)}`)] : []));
    write(beat, s.last_beat_ms == null ? "" : make("span", s.state === "down" ? "number bad" : "number", `${some.format(s.last_beat_ms / 1000)} s ago`));
    const steered = Boolean(s.steering.admin);
    this.buttons.drain.hidden = steered;
    this.buttons.resume.hidden = !steered;
  }
}

const rows = new Map();

function drawServices(services) {
  const body = $("services").tBodies[0];
  for (const [name, r] of rows) {
    if (services.some(s => s.document.name === name)) continue;
    r.tr.remove();
    rows.delete(name);
  }
  services.forEach((s, i) => {
    const name = s.document.name;
    if (!rows.has(name)) rows.set(name, new Row(name));
    const r = rows.get(name);
    if (body.rows[i] !== r.tr) body.insertBefore(r.tr, body.rows[i] ?? null);
    r.draw(s);
  });
  $("services").hidden = !services.length;
  $("no-services").hidden = services.length > 0;
  const able = services.filter(s => s.weight > 0).length;
  health(able > 0, `${able} of ${services.length} services take mail`);
}

function health(good, text) {
  $("health").className = `health ${good ? "ready" : "not"}`;
  if ($("health").textContent !== text) $("health").textContent = text;
}

// What happened: server-sent events (WHATWG HTML, section 9.2), read by hand because an
// EventSource cannot carry the token.

let lastEvent = "";
let stream = new AbortController();

async function watch(mine) {
  while (mine === turning) {
    stream = new AbortController();
    let deaf;
    const heard = () => { clearTimeout(deaf); deaf = setTimeout(() => stream.abort(), silence); };
    try {
      heard();
      const response = await fetch("v1/services/events", {
        signal: stream.signal, headers: { Authorization: `Bearer ${token.get()}`, ...(lastEvent ? { "Last-Event-ID": lastEvent } : {}) },
      });
      if (!response.ok) throw new Problem(response.status);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        heard();
        const blocks = (text + value).split("\n\n");
        text = blocks.pop();
        watching(true);
        for (const block of blocks) hear(block);
      }
    } catch { /* it is tried again */ } finally {
      clearTimeout(deaf);
    }
    if (mine !== turning) return;
    watching(false);
    await new Promise(done => setTimeout(done, again));
  }
}

function watching(live) {
  $("watching").className = `watching ${live ? "live" : "away"}`;
  const text = live ? "Told at once" : "Not told of changes just now";
  if ($("watching-text").textContent !== text) $("watching-text").textContent = text;
}

function hear(block) {
  const fields = Object.fromEntries(block.split("\n").filter(line => line && !line.startsWith(":")).map(line => {
    const at = line.indexOf(":");
    return [line.slice(0, at), line.slice(at + 1).trimStart()];
  }));
  if (fields.event !== "transition") return;
  lastEvent = fields.id;
  const t = JSON.parse(fields.data);
  const who = t.service || "All services together";
  const what = t.removed ? `${t.from} → removed` : `${t.from} → ${t.to}`;
  const time = make("time", "", moment(t.at));
  time.dateTime = t.at;
  $("events").prepend(make("li", "", time, make("b", "", who),
    make("span", "", make("span", `is ${t.removed ? "" : t.to}`, what), t.reason ? make("small", "", t.reason) : null)));
  while ($("events").children.length > shownEvents) $("events").lastChild.remove();
  $("no-events").hidden = true;
  if (clock.now() - Date.parse(t.at) < 10_000) {
    $("announcer").textContent = `${who}: ${what.replace("→", "to")}`; // what is old need not be read out
    soon();
  }
}

// The queue, a page at a time.

const queue = { pages: [""], next: "", entries: [] }; // queries of the pages up to this one

function query() {
  const q = new URLSearchParams({ limit: pageSize });
  for (const [name, value] of new FormData($("filter"))) if (value.trim()) q.set(name, value.trim());
  return `?${q}`;
}

async function list() {
  try {
    const page = await ask("GET", `v1/queue${queue.pages.at(-1)}`);
    queue.next = page.links.next ? new URL(page.links.next, location).search : "";
    queue.entries = page.data;
    show($("queue-error"));
  } catch (e) {
    if (!(e instanceof Problem) || e.status === 401) throw e;
    queue.next = "";
    queue.entries = [];
    show($("queue-error"), `Look into the queue: ${e.message}.`);
  }
  drawQueue();
}

function drawQueue() {
  $("queue").tBodies[0].replaceChildren(...queue.entries.map(e => {
    const [tr, [recipient, sender, state, waits, attempts, next, answer]] = row($("queue"));
    const button = make("button", "link", e.recipient);
    button.type = "button";
    button.onclick = () => unfold(e);
    recipient.append(button);
    sender.append(e.sender || "<>", ...(e.account === e.sender ? [] : [small(e.account)]));
    state.append(make("span", `is ${e.state}`, e.state), ...(e.class === "normal" ? [] : [small(e.class)]));
    waits.append(since(e.accepted));
    attempts.append(String(e.attempts));
    next.append(...(e.next ? [`in ${until(e.next)}`] : []));
    answer.append(...(e.service ? [make("span", "", `${e.service}: ${e.result}`), small([e.code || "", e.enhanced, e.text].filter(Boolean).join(" "))].filter(Boolean) : []));
    return tr;
  }));
  const none = !queue.entries.length;
  $("queue").hidden = none;
  $("no-entries").hidden = !none || !$("queue-error").hidden;
  for (const [id, able] of [["previous", queue.pages.length > 1], ["next", queue.next]]) $(id).disabled = !able;
  $("page").textContent = `Page ${queue.pages.length}, as of ${new Date().toLocaleTimeString("en-GB")}`;
}

// browse lists another page, or this one again.
const browse = (button, change) => one(button, "Look into the queue", async () => { change(); await list(); });

$("filter").onsubmit = e => {
  e.preventDefault();
  browse($("look"), () => { queue.pages = [query()]; });
};
$("next").onclick = () => browse($("next"), () => queue.pages.push(queue.next));
$("previous").onclick = () => browse($("previous"), () => queue.pages.pop());

// One entry.

let opened = null;

function unfold(e) {
  opened = e;
  $("entry-title").textContent = e.recipient;
  const lines = [
    ["Message", `${e.message}, recipient ${e.number}`], ["Sender", e.sender || "the null reverse-path"], ["Account", e.account], ["Size", octets(e.octets)],
    ["Class", e.class], ["State", e.state === "held" ? "held: nobody knows whether the last attempt succeeded" : e.state],
    ["Accepted", `${moment(e.accepted)}, ${since(e.accepted)} ago`], ["Expires", `${moment(e.expires)}, in ${until(e.expires)}`], ["Attempts", String(e.attempts)],
    ["Next", e.next && `${moment(e.next)}, in ${until(e.next)}`], ["Service", e.service], ["Result", e.result],
    ["Answer", [e.code || "", e.enhanced, e.text].filter(Boolean).join(" ")],
  ];
  $("entry-lines").replaceChildren(...lines.filter(([, text]) => text).flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]));
  $("by").replaceChildren(...[...rows.keys()].map(name => new Option(name)));
  const others = [...rows.values()].filter(r => r.name !== e.service);
  const better = others.find(r => r.service.weight > 0) ?? others[0];
  if (better) $("by").value = better.name;
  $("by").closest(".reroute").hidden = !rows.size;
  show($("entry-error"));
  sure(false);
  $("entry").showModal();
  $("entry-close").focus();
}

function sure(asking) {
  $("entry-actions").hidden = asking;
  $("entry-sure").hidden = !asking;
  if (asking) $("cancel-no").focus();
}

const steerEntry = (button, doing, verb, body, done) => one(button, doing, async () => {
  const e = opened;
  await ask("POST", `${entryPath(e)}/${verb}`, body);
  const at = queue.entries.indexOf(e);
  $("entry").close();
  say(done(e.recipient));
  await look();
  await list();
  const links = $("queue").querySelectorAll(".link"); // whoever goes by keyboard stays where the entry was
  (links[at] ?? links[links.length - 1] ?? $("look")).focus();
}, text => { sure(false); show($("entry-error"), text); });

$("retry").onclick = () => steerEntry($("retry"), "Try now", "retry", null, to => `The mail to ${to} is tried now.`);
$("reroute").onclick = () => steerEntry($("reroute"), "Reroute", "reroute", { service: $("by").value }, to => `The mail to ${to} is tried now, by ${$("by").value} if that can take it.`);
$("cancel-yes").onclick = () => steerEntry($("cancel-yes"), "Give up", "cancel", null, to => `The mail to ${to} is given up.`);
$("cancel").onclick = () => sure(true);
$("cancel-no").onclick = () => { sure(false); $("cancel").focus(); };
$("entry-close").onclick = () => $("entry").close();

// Another data centre.

$("adopt").onclick = () => {
  $("adoption-form").reset();
  show($("adoption-error"));
  $("adoption").showModal();
};
$("adoption-no").onclick = () => $("adoption").close();
$("adoption-form").onsubmit = e => {
  e.preventDefault();
  const name = $("datacenter").value.trim();
  const wrong = (text, field) => { show($("adoption-error"), text); field?.focus(); };
  if (!name) return wrong("Which data centre?", $("datacenter"));
  if ($("again").value.trim() !== name) return wrong("The two are not the same.", $("again"));
  one($("adoption-yes"), "Adopt", async () => {
    const { lanes } = await ask("POST", "v1/adoptions", { datacenter: name });
    $("adoption").close();
    say(lanes ? `The backlog of ${name} is being taken on: ${few.format(lanes)} ${lanes === 1 ? "process" : "processes"} may have left something to do.` : `Nothing is left to do of ${name}.`);
  }, wrong);
};

// Asking.

// look draws how things are, unless somebody has paused the page or left it meanwhile.
async function look() {
  const mine = turning;
  const [{ services }, stats] = await Promise.all([
    ask("GET", "v1/services"),
    ask("GET", "v1/queue/stats").catch(e => { if (e.status === 503) return e; throw e; }),
  ]);
  if (mine !== turning) return;
  drawServices(services);
  if (stats instanceof Problem) fail(`The queue: ${stats.message}.`);
  else {
    fail("");
    drawCounts(stats);
  }
  $("asked").textContent = `Asked ${new Date().toLocaleTimeString("en-GB")}, every ${every / 1000} seconds. Each node has a queue of its own, and judges services for itself.`;
}

let early;
function soon() { // transitions come in bunches
  clearTimeout(early);
  if ($("hold").ariaPressed !== "true") early = setTimeout(() => look().catch(() => {}), 100); // the next turn says what is wrong
}

let turning = 0; // number of the round that is allowed to go on
async function turn() {
  const mine = ++turning;
  stream.abort();
  for (let first = true; mine === turning;) {
    if (!document.hidden || first) {
      try {
        await look();
        if (mine !== turning) return;
        $("enter").hidden = $("none").hidden = true;
        $("rooms").hidden = $("head").hidden = false;
        if (first) {
          first = false;
          watch(mine);
          queue.pages[0] ||= query();
          await list();
        }
      } catch (e) {
        if (mine !== turning) return;
        if (!(e instanceof Problem)) throw e;
        if (e.status === 401) return enter("The server does not know this token.");
        if (e.status === 404) return none();
        health(false, "No answer");
        fail(e.status ? `The server cannot say how things are: ${e.message}. Trying again.` : "The server does not answer. Trying again.");
        $("head").hidden = false;
      }
    }
    await new Promise(done => setTimeout(done, every));
  }
}

function none() {
  $("enter").hidden = $("rooms").hidden = true;
  $("none").hidden = $("head").hidden = false;
  health(false, "No relay");
}

function enter(error) {
  turning++;
  stream.abort();
  token.clear();
  fail("");
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  drawServices([]);
  $("events").replaceChildren();
  $("no-events").hidden = false;
  lastEvent = "";
  Object.assign(queue, { pages: [""], next: "", entries: [] });
  drawQueue();
  $("none").hidden = $("rooms").hidden = $("head").hidden = true;
  $("enter").hidden = false;
  show($("token-error"), error);
  $("token").ariaInvalid = error ? "true" : "false";
  $("token").value = "";
  $("token").focus();
}

$("enter").onsubmit = e => {
  e.preventDefault();
  token.set($("token").value.trim());
  turn();
};
$("leave").onclick = () => enter("");
$("hold").onclick = () => {
  const held = $("hold").ariaPressed !== "true";
  $("hold").ariaPressed = String(held);
  if (!held) return turn();
  turning++;
  clearTimeout(early);
  stream.abort();
};

if (token.get()) turn();
else enter("");
