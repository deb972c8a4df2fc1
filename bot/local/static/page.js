// The server renders every message; this only puts it in its place and sends what people do.
"use strict";

const as = document.body.dataset.as;
const $ = (selector, root = document) => root.querySelector(selector);
const paneOf = (element) => element.closest(".pane");
const paneFor = (chat) => document.getElementById(`pane${chat}`);

async function send(path, fields) {
  const reply = await fetch(path, {method: "POST", body: new URLSearchParams({as, ...fields})}).catch(() => null);
  if (!reply) toast("The program does not answer. Is it still running?");
  else if (!reply.ok) toast(await reply.text());
  return Boolean(reply?.ok);
}

const say = (chat, text, reply_to = "") => send("say", {chat, text, reply_to});

function toast(text) {
  const element = document.createElement("p");
  element.textContent = text;
  $("#toasts").append(element);
  setTimeout(() => element.remove(), 4000);
}

function place(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

const toEnd = (log) => { log.scrollTop = log.scrollHeight; };
const isAtEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 80;

function answerTo(pane, message) {
  const form = $("form", pane), note = $(".answering", form);
  form.elements.reply_to.value = message ? message.dataset.message : "";
  note.hidden = !message;
  if (!message) return;
  $("span", note).textContent = `Reply to ${$(".sender", message).textContent}: ${$(".text", message).textContent.slice(0, 80)}`;
  form.elements.text.focus();
}

// One pane is in front on a phone; all are side by side on a desk.
function bringToFront() {
  const pane = document.getElementById(location.hash.slice(1)) || $(".pane");
  if (!pane.matches(".pane")) return;
  document.querySelectorAll(".pane").forEach((each) => each.classList.toggle("front", each === pane));
  document.querySelectorAll(".tab.group").forEach((tab) => tab.classList.toggle("front", tab.dataset.tab === pane.dataset.chat));
  $(`[data-tab="${pane.dataset.chat}"]`).classList.remove("unread");
  document.querySelectorAll(".log").forEach(toEnd);
}

function markUnread(chat) {
  const pane = paneFor(chat);
  if (!pane || !pane.checkVisibility()) $(`[data-tab="${chat}"]`)?.classList.add("unread");
}

const release = () => document.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));

const on = {
  post(html, event) {
    const message = place(html), old = document.getElementById(message.id);
    const pane = paneFor(message.id.slice(1).split("_")[0]), log = $(".log", pane);
    const follow = isAtEnd(log) || message.matches(".own");
    if (old) old.replaceWith(message);
    else {
      log.append(message);
      markUnread(pane.dataset.chat);
      if ("wantsReply" in message.dataset) answerTo(pane, message);
    }
    $(".about", pane).classList.remove("typing");
    if (follow) toEnd(log);
    $("img", message)?.addEventListener("load", () => follow && toEnd(log));
  },
  gone: (id) => document.getElementById(id)?.remove(),
  unread: markUnread,
  typing(chat) {
    const about = $(".about", paneFor(chat));
    about.classList.add("typing");
    setTimeout(() => about.classList.remove("typing"), 5000);
  },
  menu(html) {
    const menu = place(html);
    document.getElementById(menu.id).replaceWith(menu);
  },
  toast(text) {
    release();
    if (text) toast(text);
  },
  alert(text) {
    release();
    $("#alert-text").textContent = text;
    $("#alert").showModal();
  },
};

const stream = new EventSource(`events?as=${as}&since=${document.body.dataset.since}`);
for (const [kind, act] of Object.entries(on)) stream.addEventListener(kind, (event) => act(event.data));
stream.onopen = () => document.body.classList.remove("offline");
stream.onerror = () => document.body.classList.add("offline");

document.addEventListener("click", (event) => {
  const target = event.target.closest("button, .spoiler, summary");
  document.querySelectorAll(".menu[open]").forEach((menu) => menu.contains(event.target) || (menu.open = false));
  if (!target) return;
  const pane = paneOf(target), {say: text, press, copy, start, reply, forget} = target.dataset;
  if (target.matches(".spoiler")) target.classList.toggle("shown");
  if (text) {
    say(pane.dataset.chat, text);
    target.closest(".menu")?.removeAttribute("open");
  }
  if (start) {
    say(as, start);
    location.hash = `pane${as}`;
  }
  if (press) {
    target.setAttribute("aria-busy", "true");
    send("press", {chat: pane.dataset.chat, message: target.closest(".message").dataset.message, data: press})
      .then((sent) => sent || release());
  }
  if (copy) navigator.clipboard.writeText(copy).then(() => toast("Copied"), () => toast(copy));
  if (reply) answerTo(pane, target.closest(".message"));
  if (forget !== undefined) answerTo(pane, null);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("textarea")) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
  if ((event.key === "Enter" || event.key === " ") && event.target.matches(".spoiler")) {
    event.preventDefault();
    event.target.click();
  }
  if (event.key === "Escape") document.querySelectorAll(".menu[open]").forEach((menu) => { menu.open = false; });
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches(".composer")) return;
  event.preventDefault();
  const text = form.elements.text.value.trim(), pane = paneOf(form), reply_to = form.elements.reply_to.value;
  if (!text) return;
  form.elements.text.value = "";
  answerTo(pane, null);
  if (!await say(pane.dataset.chat, text, reply_to)) form.elements.text.value = text;
});

// Whoever reads the newest message goes on reading it when the composer grows or the keyboard of a phone comes up.
const resized = new ResizeObserver((entries) => entries.forEach(({target}) => target.dataset.away || toEnd(target)));
for (const log of document.querySelectorAll(".log")) {
  log.addEventListener("scroll", () => { log.dataset.away = isAtEnd(log) ? "" : "yes"; });
  resized.observe(log);
}

addEventListener("hashchange", bringToFront);
bringToFront();
