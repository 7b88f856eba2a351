"use strict";
// Keeps the regions of a page as they are now, without moving focus or what is being typed. The page works without it.
(() => {
  const view = document.body.dataset.view;
  const mark = document.getElementById("live");
  const search = document.querySelector("input[type=search]");
  let source = null;
  const say = (text) => { if (mark && mark.textContent !== text) mark.textContent = text; };
  const close = (text) => { if (source) source.close(); source = null; say(text); };
  const open = () => {
    if (!view || source || document.hidden) return;
    source = new EventSource("/events?view=" + encodeURIComponent(view));
    source.onopen = () => say("live");
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return say("reconnecting");
      close("not live: asked again in 10 s");
      setTimeout(open, 10000);
    };
    source.addEventListener("region", (event) => {
      const region = JSON.parse(event.data);
      const element = document.getElementById(region.id);
      if (element) Idiomorph.morph(element, region.html, { morphStyle: "innerHTML", ignoreActiveValue: true });
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close("paused") : open()));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || !search || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    search.focus();
  });
  open();
})();
