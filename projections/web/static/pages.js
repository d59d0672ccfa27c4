// What a page does by itself: follow the store, tell local times, travel in time. Each page works without it.
"use strict";

(() => {
  const PAUSED = "tracker-paused";
  const EVERY = 700; // milliseconds between two looks at a page that changes often
  const RETRY = 3000; // and before the next one when the server could not answer
  const COPIED = 1500; // for which a button says that it has copied
  const STALE = 60_000; // after which "5 min ago" is not true any more
  const byId = (id) => document.getElementById(id);

  // The page's middle, asked for anew and laid over what is there: focus and scrolling stay. Whether that went well.
  const refresh = async (url) => {
    let well = true;
    const fail = () => (well = false);
    for (const kind of ["htmx:error", "htmx:response:error"]) document.addEventListener(kind, fail, { once: true });
    await htmx.ajax("GET", url, { target: "#live", select: "#live", swap: "outerMorph" });
    for (const kind of ["htmx:error", "htmx:response:error"]) document.removeEventListener(kind, fail);
    dress();
    return well;
  };

  // The same for what somebody chose; its address says it, and a page of its own what is wrong with it.
  const show = async (url) => {
    history.replaceState(history.state, "", url);
    if (!(await refresh(url))) location.assign(url);
  };

  // Times: UTC as text, the reader's own on hover.
  const dress = () => {
    for (const time of document.querySelectorAll("time:not([title], .ago)")) {
      const local = new Date(time.dateTime);
      if (!isNaN(local)) time.title = local.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
    }
    copying();
    travel();
  };

  // Copying: a button behind whatever is worth to be taken elsewhere, where the browser lets us.
  const copying = () => {
    if (!navigator.clipboard) return;
    for (const what of document.querySelectorAll("[data-copy]")) {
      if (what.nextElementSibling?.matches(".copy")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.setAttribute("aria-label", `Copy ${what.dataset.copy}`);
      button.append(icon("copy"));
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(what.textContent.trim());
        button.classList.add("done");
        button.replaceChildren(icon("clean"));
        setTimeout(() => {
          button.classList.remove("done");
          button.replaceChildren(icon("copy"));
        }, COPIED);
      });
      what.after(button);
    }
  };
  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "i");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
    svg.firstChild.setAttribute("href", `#i-${name}`);
    return svg;
  };

  // Keys: / searches, j and k go from row to row, g and a letter to a page, ? lists them. None while somebody types.
  const keys = () => {
    const dialog = byId("keys"), shown = byId("show-keys");
    shown.hidden = false;
    shown.addEventListener("click", () => dialog.showModal());
    let before = "";
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
      const key = event.key;
      const page = before === "g" && document.querySelector(`.top nav [data-key="${CSS.escape(key)}"]`);
      before = key;
      if (page) page.click();
      else if (key === "/") byId("search").focus();
      else if (key === "?") dialog.showModal();
      else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
      else return;
      event.preventDefault();
    });
  };
  const step = (by) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    const here = rows.indexOf(document.activeElement.closest("[data-row]"));
    const next = rows[here < 0 && by < 0 ? rows.length - 1 : Math.max(0, Math.min(rows.length - 1, here + by))];
    next?.querySelector("a")?.focus();
  };

  // Following: the stream says which session changed; the page is asked for anew.
  const follow = () => {
    const tools = byId("live-tools");
    if (!tools || !tools.dataset.after || !window.EventSource) return;
    const pause = byId("live-pause"), state = byId("live-state");
    let stream, after = tools.dataset.after, due = null, last = 0, busy = false;
    let paused = sessionStorage.getItem(PAUSED) === "yes";

    const tell = (is, words) => {
      tools.dataset.is = is;
      if (state.textContent !== words) state.textContent = words;
    };
    const wanted = (change) => {
      const live = byId("live");
      return live && ("all" in live.dataset || live.dataset.session === change.session_id);
    };
    const look = async () => {
      due = null;
      if (paused) return;
      if (busy) return later();
      busy = true;
      last = Date.now();
      const before = marks();
      const well = await refresh(location.pathname + location.search);
      busy = false;
      if (!well) return again();
      glow(before);
    };
    const again = () => {
      tell("away", "Reconnecting");
      setTimeout(() => {
        if (stream) tell("on", "Live");
        later();
      }, RETRY);
    };
    setInterval(() => document.querySelector(".ago") && !paused && !document.hidden && later(), STALE);
    const later = () => {
      due ??= setTimeout(look, Math.max(0, EVERY - (Date.now() - last)));
    };
    const listen = () => {
      if (stream || paused || document.hidden) return;
      stream = new EventSource(`${tools.dataset.changes}?after=${after}`);
      stream.onopen = () => tell("on", "Live");
      stream.onmessage = (event) => {
        after = event.lastEventId;
        if (wanted(JSON.parse(event.data))) later();
      };
      stream.onerror = () => {
        if (stream.readyState !== EventSource.CLOSED) return tell("away", "Reconnecting");
        hush();
        tell("away", "No updates: reload the page");
      };
    };
    const hush = () => {
      stream?.close();
      stream = undefined;
    };
    const settle = () => {
      pause.setAttribute("aria-pressed", paused);
      pause.textContent = paused ? "Resume updates" : "Pause updates";
      sessionStorage.setItem(PAUSED, paused ? "yes" : "no");
      if (paused) {
        hush();
        clearTimeout(due);
        due = null;
        tell("paused", "Paused");
      } else listen();
    };
    pause.addEventListener("click", () => {
      paused = !paused;
      settle();
    });
    // A tab that nobody sees holds no connection; when it is seen again it gets what it missed.
    document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
    window.addEventListener("pagehide", hush);
    window.addEventListener("pageshow", (event) => event.persisted && listen());
    tools.hidden = false;
    settle();
  };

  const marks = () => new Map([...document.querySelectorAll("[data-last]")].map((row) => [row.dataset.session, row.dataset.last]));
  const glow = (before) => {
    for (const row of document.querySelectorAll("[data-last]"))
      if (before.get(row.dataset.session) !== row.dataset.last) {
        row.classList.add("fresh");
        row.addEventListener("animationend", () => row.classList.remove("fresh"), { once: true });
      }
  };

  // A log that is dropped anywhere on the page goes into its form.
  const dropping = () => {
    const form = document.querySelector("[data-drop]");
    if (!form) return;
    const over = (is) => (event) => {
      event.preventDefault();
      form.classList.toggle("over", is);
    };
    document.addEventListener("dragover", over(true));
    document.addEventListener("dragleave", over(false));
    document.addEventListener("drop", (event) => {
      over(false)(event);
      if (!event.dataTransfer.files.length) return;
      form.elements.log.files = event.dataTransfer.files;
      form.requestSubmit();
    });
  };

  // Filters: the list follows what is typed, and its address says what is shown.
  const filter = () => {
    const form = document.querySelector("[data-live-form]");
    if (!form) return;
    let due;
    const ask = () => {
      const given = [...new FormData(form)].filter(([, value]) => value);
      const query = new URLSearchParams(given).toString();
      const url = form.getAttribute("action") + (query ? `?${query}` : "");
      show(url);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    form.addEventListener("input", () => {
      clearTimeout(due);
      due = setTimeout(ask, 250);
    });
  };

  // Travelling in time: the slider stops at deliveries, and the page shows what was known right after each.
  const travel = () => {
    const slider = byId("scrubber");
    if (!slider) return;
    if (slider.hasAttribute("name")) {
      slider.removeAttribute("name"); // by itself it tells a position; from here on it counts stops
      slider.addEventListener("input", () => {
        clearTimeout(slider.due);
        slider.due = setTimeout(() => go(slider), 120);
        name(slider);
      });
      slider.form.addEventListener("submit", (event) => event.preventDefault());
    }
    const at = Number(byId("stops").dataset.at);
    slider.min = 0;
    slider.max = stops().length - 1;
    slider.step = 1;
    if (!slider.due) slider.value = stops().findLastIndex((stop) => Number(stop) <= at);
    name(slider);
  };
  const stops = () => byId("stops").dataset.stops.split(",");
  const name = (slider) => slider.setAttribute("aria-valuetext", `position ${stops()[slider.value]}`);
  const go = (slider) => {
    slider.due = null;
    const last = Number(slider.value) === stops().length - 1;
    const asked = new URLSearchParams([...new FormData(slider.form)]);
    if (!last) asked.set("at", stops()[slider.value]);
    const url = slider.form.getAttribute("action") + (asked.size ? `?${asked}` : "");
    show(url);
  };

  document.addEventListener("DOMContentLoaded", () => {
    dress();
    keys();
    dropping();
    follow();
    filter();
  });
})();
