"use strict";
(() => {
  const size = matchMedia("(max-width: 600px)").matches ? 8 : 24;
  const controls = document.getElementById("filters");
  const cards = [...document.querySelectorAll("#gallery > .item")];
  const selects = [...controls.querySelectorAll("select")];
  const status = document.getElementById("status");
  let page = 0;
  const has = (card, key, value) => value === "" || (card.dataset[key] || "").split(" ").includes(value);
  const show = () => {
    const matching = cards.filter((card) => selects.every((select) => has(card, select.name, select.value)));
    const pages = Math.max(1, Math.ceil(matching.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const visible = new Set(matching.slice(page * size, (page + 1) * size));
    for (const card of cards) {
      card.hidden = !visible.has(card);
      if (card.hidden) for (const player of card.querySelectorAll("audio, video")) player.pause();
    }
    const first = matching.length ? page * size + 1 : 0;
    status.textContent = `${first} to ${Math.min((page + 1) * size, matching.length)} of ${matching.length}`;
    for (const button of controls.querySelectorAll("button"))
      button.disabled = button.value === "-1" ? page === 0 : page === pages - 1;
  };
  for (const select of selects) select.addEventListener("change", () => { page = 0; show(); });
  for (const button of document.querySelectorAll("#filters button"))
    button.addEventListener("click", () => { page += Number(button.value); show(); controls.scrollIntoView(); });
  controls.hidden = false;
  show();
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details.data")) each.open = true; });
})();
