// The page for people. It shows one mailbox at a time, named by the fragment of the
// URL, and knows of the server only what the HTTP interface says.

const $ = id => document.getElementById(id);

// make builds an element; properties that are null are left out.
function make(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value == null) continue;
    if (name in e) e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children.filter(c => c != null));
  return e;
}

const pageSize = 50;
const requestTimeout = 20_000; // ms; also what follows

// The server: what goes wrong is a Problem, with the status 0 where nothing came.

class Problem extends Error {
  constructor(status, document = {}, retryAfter = 0) {
    super(document.detail || document.title || "");
    this.status = status;
    this.type = (document.type || "").replace("urn:problem:", "");
    this.retryAfter = retryAfter; // seconds
  }
}

// The clock of this machine may be wrong; the time left is counted by the server's.
const clock = {
  ahead: null,
  now() { return Date.now() + (this.ahead ?? 0); },
  hear(response) {
    const date = Date.parse(response.headers.get("Date") ?? "");
    // The field has whole seconds, so half of one is what is missing on average.
    if (!Number.isNaN(date) && !response.headers.get("Age")) this.ahead = date + 500 - Date.now();
    if (Math.abs(this.ahead) < 2000) this.ahead = 0;
  },
};

async function ask(method, path, { body, accept = "application/json", signal } = {}) {
  const ends = AbortSignal.any([AbortSignal.timeout(requestTimeout), ...(signal ? [signal] : [])]);
  let response;
  try {
    response = await fetch(path, {
      method, signal: ends,
      headers: { Accept: accept, ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body && JSON.stringify(body),
    });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Problem(0);
  }
  clock.hear(response);
  if (!response.ok) {
    const document = await response.json().catch(() => ({}));
    throw new Problem(response.status, document, Number(response.headers.get("Retry-After")) || 0);
  }
  return response;
}

const mailboxPath = email => `v1/mailboxes/${encodeURIComponent(email)}`;
const messagePath = (email, id) => `${mailboxPath(email)}/messages/${encodeURIComponent(id)}`;
const attachmentPath = (email, id, number) => `${messagePath(email, id)}/attachments/${number}`;

// excuse says to a person what went wrong.
function excuse(problem, doing) {
  if (problem instanceof Problem) {
    switch (problem.status) {
      case 0: return `${doing}: the server does not answer.`;
      case 429: return `${doing}: that was too often. Try again ${problem.retryAfter ? `in ${span(problem.retryAfter)}` : "later"}.`;
      case 503: return `${doing}: the server cannot reach its mail just now. Try again in a moment.`;
      case 507: return `${doing}: the server is full.`;
    }
    return `${doing}: ${problem.message || `the server said ${problem.status}`}.`;
  }
  console.error(problem);
  return `${doing}: something went wrong on this page.`;
}

// What this browser remembers: the mailboxes made here with their passwords, and
// which messages were read.

const memory = {
  read() {
    try {
      const all = JSON.parse(localStorage.getItem("restante") ?? "[]");
      return Array.isArray(all) ? all.filter(b => Date.parse(b.expires) > clock.now()) : [];
    } catch { return []; }
  },
  write(all) {
    try { localStorage.setItem("restante", JSON.stringify(all.slice(0, 50))); } catch { /* a browser that remembers nothing */ }
  },
  find(email) { return this.read().find(b => b.email === email); },
  keep(box) { this.write([box, ...this.read().filter(b => b.email !== box.email)]); },
  forget(email) { this.write(this.read().filter(b => b.email !== email)); },
};

// What is on the page.

const state = {
  box: null,       // email, expires and created, in ms
  leave: null,     // ends all that was begun for the mailbox
  messages: [],    // summaries, the newest first
  items: new Map(),// their elements by id
  more: "",        // where the older ones begin
  seen: new Set(), // ids that were read
  open: null,      // the message that is read
  reading: null,   // ends what was begun for it
};

function show(view) {
  document.querySelectorAll("[data-show]").forEach(e => { e.hidden = !e.dataset.show.split(" ").includes(view); });
  $("main").dataset.view = view;
}

let announcing;
// announce tells a screen reader, politely.
function announce(text) {
  clearTimeout(announcing);
  $("announcer").textContent = "";
  announcing = setTimeout(() => { $("announcer").textContent = text; }, 100);
}

// complain shows what went wrong, with a way to try again if there is one.
function complain(text, again) {
  $("notice-text").textContent = text;
  $("notice-retry").hidden = !again;
  $("notice-retry").onclick = again ? () => { settle(); again(); } : null;
  $("notice").hidden = false;
}
function settle() { $("notice").hidden = true; }
$("notice-close").onclick = settle;

function title() {
  const unread = state.box ? state.messages.filter(m => !state.seen.has(m.id)).length : 0;
  document.title = (unread ? `(${unread}) ` : "") + (state.box ? `${state.box.email} · Restante` : "Restante");
}

// Times.

// span says a number of seconds in words.
function span(seconds) {
  for (const [name, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= size * 1.5 || seconds === size) {
      const n = Math.round(seconds / size);
      return `${n} ${name}${n === 1 ? "" : "s"}`;
    }
  }
  return `${Math.max(1, Math.round(seconds))} second${seconds > 1 ? "s" : ""}`;
}

// countdown says a number of seconds as a clock does.
function countdown(seconds) {
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const two = n => String(n).padStart(2, "0");
  if (d) return `${d} d ${h} h`;
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const sameDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const otherDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function ago(ms) {
  const seconds = (clock.now() - ms) / 1000;
  if (seconds < 45) return "now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min`;
  return (seconds < 12 * 3600 ? sameDay : otherDay).format(ms);
}

function octets(n) {
  for (const unit of ["octets", "KiB", "MiB"]) {
    if (n < 1024 || unit === "MiB") return `${unit === "octets" || n >= 100 ? Math.round(n) : n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
}

// name is who a sender calls himself, or the address.
function name(sender) {
  const m = /^\s*"?([^"<]*?)"?\s*<[^>]*>\s*$/.exec(sender ?? "");
  return m?.[1] || sender?.replace(/^<|>$/g, "") || "Unknown sender";
}

// Going from one address to another: the fragment names it.

function address(email) { return "#" + encodeURI(email); }

function route() {
  settle();
  let to = "";
  try { to = decodeURIComponent(location.hash.slice(1)); } catch { /* no address of ours */ }
  if (to.includes("@")) return enter(to);
  const last = to === "new" ? null : memory.read()[0];
  if (last) {
    history.replaceState(null, "", address(last.email));
    return enter(last.email);
  }
  quit();
  show("new");
  others();
}

// others lists the addresses that were made here and live.
function others() {
  const all = memory.read();
  $("others").hidden = !all.length;
  $("others").querySelector("ul").replaceChildren(...all.map(b => make("li", {},
    make("a", { href: address(b.email) }, b.email, make("span", {}, `${span((Date.parse(b.expires) - clock.now()) / 1000)} left`)))));
}

function quit() {
  state.leave?.abort();
  shut();
  Object.assign(state, { box: null, leave: null, messages: [], more: "", seen: new Set() });
  state.items.clear();
  $("messages").replaceChildren();
  title();
}

// Making an address.

$("make").onsubmit = async event => {
  event.preventDefault();
  const button = $("make-button");
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  settle();
  wrong("");
  const wish = { ttl: Number($("life").value) };
  const local = $("local").value.trim();
  if (local) wish.local_part = local;
  if ($("domain")) wish.domain = $("domain").value;
  try {
    const box = await (await ask("POST", "v1/mailboxes", { body: wish })).json();
    memory.keep({ ...box, read: [] });
    $("local").value = "";
    location.hash = address(box.email);
    announce(`The address ${box.email} is ready.`);
  } catch (e) {
    if (e.status === 409) wrong("Somebody has that name. Choose another one, or leave it empty.");
    else if (e.status === 422) wrong(e.type === "ttl-out-of-range" ? "So long an address cannot live here." : "That name cannot be part of a mail address. Letters, digits, dots and hyphens can.");
    else complain(excuse(e, "The address was not made"), () => $("make").requestSubmit());
  } finally {
    button.removeAttribute("aria-disabled");
  }
};

function wrong(text) {
  $("local-error").textContent = text;
  $("local-error").hidden = !text;
  $("local").toggleAttribute("aria-invalid", false);
  if (text) {
    $("local").setAttribute("aria-invalid", "true");
    $("local").focus();
  }
}

// A mailbox.

// enter shows a mailbox and watches it until another one is shown.
async function enter(email) {
  if (state.box?.email === email) return;
  quit();
  const leave = state.leave = new AbortController();
  const known = memory.find(email);
  state.box = { email, created: Date.parse(known?.created), expires: Date.parse(known?.expires) };
  state.seen = new Set(known?.read);
  paint(known?.password);
  show("box");
  for (let wait = 1000; !leave.signal.aborted; wait = Math.min(wait * 2, 15_000)) {
    try {
      const box = await (await ask("GET", mailboxPath(email), { signal: leave.signal })).json();
      Object.assign(state.box, { email: box.email, created: Date.parse(box.created), expires: Date.parse(box.expires) });
      break;
    } catch (e) {
      if (leave.signal.aborted) return;
      if (e.status === 404 || e.status === 422) return gone();
      watching("away");
      await pause(Math.max(wait, (e.retryAfter ?? 0) * 1000), leave.signal);
    }
  }
  if (leave.signal.aborted) return;
  paint(known?.password);
  tick();
  const beat = setInterval(tick, 250);
  leave.signal.addEventListener("abort", () => clearInterval(beat));
  watch(leave.signal);
}

// paint shows what is known of the mailbox.
function paint(password) {
  const { email, created } = state.box;
  const at = email.lastIndexOf("@");
  $("address").replaceChildren(email.slice(0, at), make("wbr"), email.slice(at));
  $("user").textContent = email;
  $("password").textContent = password ?? "";
  $("password-row").hidden = !password;
  $("password-lost").hidden = !!password;
  $("postmark-date").textContent = Number.isNaN(created) ? "" : new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" }).format(created).toUpperCase();
  $("count").textContent = "";
  shown = -1;
  title();
}

let shown = -1; // what the clock shows
function tick() {
  const { expires, created } = state.box;
  const left = Math.max(0, Math.ceil((expires - clock.now()) / 1000));
  if (left === shown) return;
  $("timer").textContent = countdown(left);
  $("ring").style.strokeDashoffset = 1000 - 1000 * left / Math.max(1, (expires - created) / 1000);
  $("postmark").classList.toggle("late", left <= 60);
  if (shown > left) {
    if (shown > 300 && left <= 300) announce("5 minutes left.");
    if (shown > 60 && left <= 60) announce("One minute left.");
  }
  shown = left;
  if (left % 30 === 0) for (const m of state.messages) state.items.get(m.id).querySelector("time").textContent = ago(Date.parse(m.received));
  if (left === 0) gone();
}

// gone shows that the address is no more.
function gone() {
  const { email, expires } = state.box;
  const lived = !Number.isNaN(expires);
  memory.forget(email);
  quit();
  $("gone-title").textContent = lived ? "This address has expired" : "There is no such address";
  $("gone-address").textContent = email;
  $("gone-text").textContent = lived
    ? "Its mail is gone, and what is sent to it now goes back to its sender."
    : "It has expired, or nobody has made it. What is sent to it goes back to its sender.";
  document.title = `${lived ? "Expired" : "No such address"} · Restante`;
  show("gone");
  $("gone-title").focus();
}

$("copy").onclick = () => copy(state.box.email, $("copy"), "Address copied.");
for (const b of document.querySelectorAll("[data-copy]")) b.onclick = () => copy($(b.dataset.copy).textContent, b, "Copied.");

// copy puts a text on the clipboard, also where the page has no right to the new
// interface because it came without TLS.
async function copy(text, button, words) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else {
      const area = make("textarea", { value: text, readOnly: true, className: "unseen" });
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      button.focus();
      if (!done) throw new Error("not copied");
    }
  } catch {
    complain("The browser does not let this page copy. Select the text and copy it by hand.");
    return;
  }
  announce(words);
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 2000);
}

$("settings-toggle").onclick = () => {
  $("settings").hidden = !$("settings").hidden;
  $("settings-toggle").setAttribute("aria-expanded", String(!$("settings").hidden));
};

$("remove").onclick = () => $("sure").showModal();
$("sure-no").onclick = () => $("sure").close();
$("sure-yes").onclick = async () => {
  $("sure").close();
  const { email } = state.box;
  try {
    await ask("DELETE", mailboxPath(email));
  } catch (e) {
    if (e.status !== 404) return complain(excuse(e, "The address was not deleted"), () => $("sure-yes").click());
  }
  memory.forget(email);
  location.hash = "#new";
  announce("The address is deleted.");
};

// Watching: events while they come, and looking every few seconds while they do not.

const words = {
  live: "New mail appears by itself",
  polling: "Looking every few seconds",
  away: "The server does not answer. Trying again",
};

function watching(how) {
  const e = $("watching");
  if (e.dataset.how === how) return;
  e.dataset.how = how;
  e.className = `watching ${how}`;
  $("watching-text").textContent = words[how];
  if (how === "away") announce("The server does not answer.");
}

function watch(left) {
  let source, looking = null;
  const listen = () => {
    source?.close();
    source = new EventSource(`${mailboxPath(state.box.email)}/events`);
    source.onopen = () => {
      looking?.abort();
      looking = null;
      refresh(left).then(() => { if (!looking) watching("live"); }, look);
    };
    source.onerror = look;
    source.addEventListener("message", e => arrive([JSON.parse(e.data)], true));
    source.addEventListener("removed", e => drop(JSON.parse(e.data).id));
    source.addEventListener("ended", () => gone());
  };
  // look polls until events come again.
  const look = async () => {
    if (looking || left.aborted) return;
    const mine = looking = new AbortController();
    const stop = AbortSignal.any([left, mine.signal]);
    for (let turn = 1, wait = 1000; !stop.aborted; turn++) {
      try {
        await refresh(stop);
        watching("polling");
        wait = 4000;
        if (turn % 5 === 0 && source.readyState === EventSource.CLOSED) listen();
      } catch (e) {
        if (stop.aborted || !state.box) return;
        watching("away");
        wait = Math.max(Math.min(wait * 2, 15_000), (e.retryAfter ?? 0) * 1000);
      }
      await pause(wait, stop);
    }
  };
  addEventListener("online", () => { if (source.readyState !== EventSource.OPEN) listen(); }, { signal: left });
  left.addEventListener("abort", () => source.close());
  // Not every server in between lets events through: then there is something to see
  // at least.
  refresh(left).catch(look);
  listen();
}

// pause waits so many milliseconds, and less when the signal or the network comes.
function pause(ms, signal) {
  return new Promise(done => {
    const end = () => { clearTimeout(timer); removeEventListener("online", end); done(); };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    addEventListener("online", end);
  });
}

// refresh lists the newest messages and brings the page in line.
async function refresh(signal) {
  const first = !state.listed || state.listed !== state.leave;
  let listing;
  try {
    listing = await list("", signal);
  } catch (e) {
    if (e.status === 404 && !signal.aborted) gone();
    throw e;
  }
  if (signal.aborted) return;
  state.listed = state.leave;
  const oldest = listing.data.at(-1)?.id;
  const here = new Set(listing.data.map(m => m.id));
  const end = state.messages.findIndex(m => m.id === oldest);
  // What is older than the page stays as it is, if there is more than the page.
  const range = listing.more && end >= 0 ? state.messages.slice(0, end) : listing.more ? [] : state.messages;
  for (const m of [...range]) if (!here.has(m.id)) drop(m.id);
  if (first || end < 0 || !listing.more) state.more = listing.more;
  arrive(listing.data, !first);
}

async function list(from, signal) {
  const query = new URLSearchParams({ limit: pageSize, fields: "summary", ...(from ? { from } : {}) });
  const page = await (await ask("GET", `${mailboxPath(state.box.email)}/messages?${query}`, { signal })).json();
  const next = page.links?.next;
  return { data: page.data, more: next ? new URL(next, location).searchParams.get("from") : "" };
}

$("older").onclick = async () => {
  const { signal } = state.leave;
  try {
    const page = await list(state.more, signal);
    if (signal.aborted) return;
    state.more = page.more;
    arrive(page.data, false);
    const first = page.data.find(m => state.items.has(m.id));
    if (first) rove(state.items.get(first.id)).focus();
  } catch (e) {
    if (!signal.aborted) complain(excuse(e, "The older messages did not come"), () => $("older").click());
  }
};

// The list of messages.

// arrive puts messages into the list. News are told.
function arrive(messages, news) {
  const fresh = messages.filter(m => !state.items.has(m.id));
  for (const m of fresh) {
    const item = line(m);
    state.items.set(m.id, item);
    const next = state.messages.findIndex(other => other.received < m.received || other.received === m.received && other.id < m.id);
    const at = next < 0 ? state.messages.length : next;
    $("messages").insertBefore(item, state.items.get(state.messages[at]?.id) ?? null);
    state.messages.splice(at, 0, m);
    if (news) item.classList.add("arriving");
  }
  if (news && fresh.length === 1) announce(`New mail from ${name(fresh[0].sender)}: ${fresh[0].subject || "no subject"}.`);
  if (news && fresh.length > 1) announce(`${fresh.length} new messages.`);
  tidy();
}

// drop takes a message off the list, for somebody has deleted it.
function drop(id) {
  const item = state.items.get(id);
  if (!item) return;
  const next = item.nextElementSibling ?? item.previousElementSibling;
  const focused = item === document.activeElement;
  const roved = item.tabIndex === 0;
  item.remove();
  state.items.delete(id);
  state.messages = state.messages.filter(m => m.id !== id);
  if (roved && next) rove(next);
  const read = state.open?.id === id;
  const inside = read && $("reader").contains(document.activeElement);
  if (read) shut();
  if (focused || inside) (next ?? $("messages-title")).focus();
  tidy();
}

function tidy() {
  const n = state.messages.length;
  $("messages").hidden = n === 0;
  $("empty").hidden = n > 0;
  $("desk").classList.toggle("bare", n === 0);
  $("older").hidden = !state.more;
  $("count").textContent = n ? `${n}${state.more ? "+" : ""}` : "";
  if (n && ![...state.items.values()].some(i => i.tabIndex === 0)) rove(state.items.get(state.messages[0].id));
  title();
}

function line(m) {
  const read = state.seen.has(m.id);
  return make("li", { id: `m-${m.id}`, role: "option", "aria-selected": "false", tabIndex: -1, className: read ? "" : "new" },
    make("span", { className: "unseen mark" }, read ? "" : "Not read. "),
    make("span", { className: "from", title: m.sender }, name(m.sender)),
    make("time", { dateTime: m.received, title: whole.format(Date.parse(m.received)) }, ago(Date.parse(m.received))),
    make("span", { className: "about" }, m.subject || "(no subject)"));
}

// rove makes an item the one that Tab comes to.
function rove(item) {
  for (const i of state.items.values()) i.tabIndex = i === item ? 0 : -1;
  return item;
}

const idOf = item => item.id.slice(2);

$("messages").onclick = e => {
  const item = e.target.closest("li");
  if (item) read(idOf(rove(item)));
};

$("messages").onkeydown = e => {
  const item = e.target.closest("li");
  if (!item || e.altKey || e.ctrlKey || e.metaKey) return;
  const to = {
    ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling,
    Home: item.parentElement.firstElementChild, End: item.parentElement.lastElementChild,
  };
  if (e.key in to) { if (to[e.key]) rove(to[e.key]).focus(); }
  else if (e.key === "Enter" || e.key === " ") read(idOf(item));
  else if (e.key === "Delete") remove(idOf(item));
  else return;
  e.preventDefault();
};

async function remove(id) {
  try {
    await ask("DELETE", messagePath(state.box.email, id));
  } catch (e) {
    if (e.status !== 404) return complain(excuse(e, "The message was not deleted"), () => remove(id));
  }
  drop(id);
  announce("Message deleted.");
}

// Reading.

async function read(id) {
  shut();
  const reading = state.reading = new AbortController();
  const { email } = state.box;
  const item = state.items.get(id);
  state.open = { id };
  $("blank").hidden = true;
  item.setAttribute("aria-selected", "true");
  let m;
  try {
    m = await (await ask("GET", messagePath(email, id), { signal: reading.signal })).json();
  } catch (e) {
    if (reading.signal.aborted) return;
    shut();
    if (e.status === 404) {
      drop(id);
      announce("That message is gone.");
    } else complain(excuse(e, "The message did not come"), () => read(id));
    return;
  }
  if (reading.signal.aborted) return;
  state.open = m;
  seen(id);
  document.body.classList.add("reading");
  letter(m);
  $("blank").hidden = true;
  $("letter").hidden = false;
  $("subject").focus({ preventScroll: true });
  if (matchMedia("(max-width: 46rem)").matches) scrollTo(0, 0);
}

// seen remembers that a message was read.
function seen(id) {
  state.seen.add(id);
  const item = state.items.get(id);
  item.classList.remove("new", "arriving");
  item.querySelector(".mark").textContent = "";
  const known = memory.find(state.box.email);
  if (known) {
    const all = memory.read();
    all.find(b => b.email === known.email).read = [...state.seen].slice(-500);
    memory.write(all);
  }
  title();
}

// shut closes the message that is read.
function shut() {
  state.reading?.abort();
  if (state.open) state.items.get(state.open.id)?.setAttribute("aria-selected", "false");
  Object.assign(state, { open: null, reading: null });
  document.body.classList.remove("reading");
  $("letter").hidden = true;
  $("blank").hidden = false;
  $("body").replaceChildren();
}

function back() {
  const item = state.items.get(state.open?.id);
  shut();
  item?.focus();
}
$("back").onclick = back;
$("reader").onkeydown = e => { if (e.key === "Escape") back(); };
$("delete").onclick = () => remove(state.open.id);

function letter(m) {
  $("subject").textContent = m.subject || "(no subject)";
  const lines = [
    ["From", m.from?.join(", ") || m.sender], ["To", m.to?.join(", ")], ["Cc", m.cc?.join(", ")], ["Reply to", m.reply_to?.join(", ")],
    ["Sent", m.sent && whole.format(Date.parse(m.sent))], ["Received", whole.format(Date.parse(m.received))],
  ];
  $("lines").replaceChildren(...lines.filter(l => l[1]).flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
  $("truncated").hidden = !m.truncated;
  $("download").href = `${messagePath(state.box.email, m.id)}/raw`;
  $("forms").hidden = !(m.html && m.body);
  attachments(m);
  body(m, { as: m.html ? "html" : "text" });
}

function attachments(m) {
  const beside = m.attachments.filter(a => !a.inline);
  $("attachments").hidden = !beside.length;
  $("attachments").querySelector("ul").replaceChildren(...beside.map(a => make("li", {},
    make("a", { href: attachmentPath(state.box.email, m.id, a.number), download: a.name },
      a.name, make("span", {}, `${a.content_type}, ${octets(a.size)}`)))));
}

// body shows what the message says: as html, text or source.
function body(m, { as, remote = false }) {
  state.as = as;
  $("as-html").setAttribute("aria-pressed", String(as === "html"));
  $("as-text").setAttribute("aria-pressed", String(as === "text"));
  $("source-toggle").setAttribute("aria-pressed", String(as === "source"));
  $("forms").hidden = !(m.html && m.body) || as === "source";
  $("remote").hidden = true;
  if (as === "html") sheet(m, remote);
  else if (as === "text") $("body").replaceChildren(make("div", { className: "text" }, ...linked(m.body)));
  else source(m);
}
$("as-html").onclick = () => body(state.open, { as: "html" });
$("as-text").onclick = () => body(state.open, { as: "text" });
$("source-toggle").onclick = () => body(state.open, { as: state.as === "source" ? (state.open.html ? "html" : "text") : "source" });
$("remote-show").onclick = () => {
  body(state.open, { as: "html", remote: true });
  $("subject").focus({ preventScroll: true });
  announce("Remote images are shown.");
};

// linked makes links of the URLs in a text.
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}])/).map((part, i) =>
    i % 2 ? make("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);
}

const maxSource = 512 * 1024; // octets that are shown

async function source(m) {
  const { signal } = state.reading;
  const pre = make("pre", { className: "source", tabIndex: 0, role: "region", "aria-label": "Source of the message" }, "…");
  $("body").replaceChildren(pre);
  try {
    const response = await ask("GET", `${messagePath(state.box.email, m.id)}/raw`, { accept: "message/rfc822", signal });
    const bytes = await start(response.body, maxSource);
    let text;
    try { text = new TextDecoder("utf-8", { fatal: m.size <= maxSource }).decode(bytes); } catch { text = new TextDecoder("latin1").decode(bytes); }
    pre.textContent = text.replaceAll("\r\n", "\n") + (m.size > maxSource ? "\n… The download has the rest." : "");
  } catch (e) {
    if (signal.aborted) return;
    body(m, { as: m.html ? "html" : "text" });
    complain(excuse(e, "The source did not come"), () => body(m, { as: "source" }));
  }
}

// start reads the first octets of a stream and lets the rest be.
async function start(stream, limit) {
  const chunks = [], reader = stream.getReader();
  let length = 0;
  while (length < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value.subarray(0, limit - length));
    length += chunks.at(-1).length;
  }
  reader.cancel().catch(() => {});
  return new Blob(chunks).arrayBuffer();
}

// HTML. The server has cleaned it; here it is put, without trust all the same, into
// a frame that runs no scripts and whose own policy lets it load nothing but what
// came with the mail. Remote images need a frame of another policy, so it takes
// more than a changed attribute to load one.

const inert = window.trustedTypes?.createPolicy("mail", { createHTML: html => html }) ?? { createHTML: html => html };

function sheet(m, remote) {
  const { signal } = state.reading;
  const { email } = state.box;
  // The policy refuses styles in a text, and lets a script set them.
  const html = m.html.replace(/<[^>]*>/g, tag => tag.replaceAll(' style="', ' data-style="'));
  // A parsed document without a window loads and runs nothing.
  const parsed = new DOMParser().parseFromString(inert.createHTML(html), "text/html");
  const images = parsed.querySelectorAll("img[data-remote-src]");
  $("remote").hidden = remote || !images.length;
  $("remote-text").textContent = images.length === 1
    ? "An image is elsewhere. Loading it tells its sender that you read this."
    : `${images.length} images are elsewhere. Loading them tells their sender that you read this.`;
  if (remote) for (const i of images) i.src = i.dataset.remoteSrc, delete i.dataset.remoteSrc;

  for (const i of parsed.querySelectorAll("img[src^='cid:' i]")) {
    let id = i.getAttribute("src").slice(4);
    try { id = decodeURIComponent(id); } catch { /* as it is */ }
    const found = m.attachments.find(a => a.content_id === id);
    if (found) i.src = new URL(attachmentPath(email, m.id, found.number), location.href).href;
    else i.removeAttribute("src");
  }
  for (const a of parsed.querySelectorAll("a[href]")) {
    if (a.getAttribute("href").startsWith("#")) a.target = "_self";
    else a.rel = "noopener noreferrer";
  }
  const frame = make("iframe", {
    className: "sheet", title: `Text of the message: ${m.subject || "no subject"}`, referrerPolicy: "no-referrer",
    src: remote ? document.body.dataset.remoteFrame : document.body.dataset.frame,
  });
  frame.sandbox = "allow-same-origin allow-popups allow-popups-to-escape-sandbox";
  frame.onload = () => {
    if (signal.aborted) return;
    const inside = frame.contentDocument;
    inside.body.append(...[...parsed.body.childNodes].map(n => inside.adoptNode(n)));
    for (const e of inside.querySelectorAll("[data-style]")) {
      e.style.cssText = e.dataset.style;
      if (/url\(/i.test(e.style.cssText)) e.style.cssText = ""; // what is remote are images alone
    }
    inside.addEventListener("keydown", e => { if (e.key === "Escape") back(); });
    fit(frame, signal);
  };
  $("body").replaceChildren(frame);
}

// fit makes a frame as high as its mail, so that there is one thing to scroll, and a
// mail that is too wide smaller.
function fit(frame, signal) {
  const inside = frame.contentDocument, root = inside.documentElement, body = inside.body;
  const height = () => {
    const bar = root.scrollWidth > root.clientWidth ? 18 : 0;
    frame.style.height = `${Math.ceil(body.getBoundingClientRect().height) + frame.offsetHeight - frame.clientHeight + bar}px`;
  };
  const width = () => {
    body.style.zoom = "";
    if (root.scrollWidth > root.clientWidth) body.style.zoom = Math.max(.5, root.clientWidth / root.scrollWidth);
    height();
  };
  const grown = new ResizeObserver(height);
  grown.observe(body);
  signal.addEventListener("abort", () => grown.disconnect());
  addEventListener("resize", width, { signal });
  for (const i of inside.images) i.addEventListener("load", width, { signal });
  width();
}

$("curl").textContent = `curl -X POST ${new URL("v1/mailboxes", location.href.replace(/#.*/, "")).href}`;
addEventListener("hashchange", route);
route();
