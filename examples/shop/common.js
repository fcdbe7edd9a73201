// What both pages share: the cart, which survives reloads, and the panel that says what is counted.

const CART = "shop-cart";

export const cart = {
  lines() {
    try {
      return JSON.parse(localStorage.getItem(CART)) ?? {};
    } catch {
      return {};
    }
  },
  add(slug) {
    const lines = this.lines();
    lines[slug] = (lines[slug] ?? 0) + 1;
    this.store(lines);
  },
  clear() {
    this.store({});
  },
  store(lines) {
    try {
      localStorage.setItem(CART, JSON.stringify(lines));
    } catch {
      // A browser that stores nothing has an empty cart; the shop goes on.
    }
    showCart();
  },
};

export function showCart() {
  const count = Object.values(cart.lines()).reduce((sum, one) => sum + one, 0);
  document.querySelector("[data-cart-count]").textContent = count;
}

/** Adds a line to the panel. The shop says it itself: the tracker has no ear for the page. */
export function counted(what, detail = "") {
  const line = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = what;
  line.append(name, ` ${detail}`);
  const list = document.querySelector("[data-counted]");
  list.prepend(line);
  while (list.children.length > 6) list.lastChild.remove();
}

// The same elements that the tracker counts clicks on.
addEventListener("click", ({ target }) => {
  const element = target.closest("a[href],button");
  if (!element || element.closest("[data-tm-ignore]")) return;
  counted(element.dataset.tmEvent ?? "click", `on “${element.textContent.trim().replace(/\s+/g, " ")}”`);
}, true);
