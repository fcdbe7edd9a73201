// The shop's single-page half: teas, a tea, about. Addresses change by pushState, which the tracker counts
// as views by itself. What this file says to it is only what it cannot see: `track` and `identify`.

import { TEAS, euros } from "./catalogue.js";
import { cart, counted, showCart } from "./common.js";

const view = document.querySelector("#view");

const tin = (tea) => `
  <svg class="tin" viewBox="0 0 120 140" style="--hue:${tea.hue}" aria-hidden="true">
    <rect class="body" x="18" y="34" width="84" height="96" rx="10"/>
    <rect class="lid" x="14" y="18" width="92" height="22" rx="8"/>
    <path class="leaf" d="M60 112c-22-12-26-34 0-54 26 20 22 42 0 54zm0-6V70"/>
  </svg>`;

const shelf = () => `
  <section class="hero">
    <h1>Tea that remembers the hill it grew on.</h1>
    <p>Six teas, bought from people we know. Steep, sip, repeat.</p>
  </section>
  <section class="grid">
    ${TEAS.map((tea) => `
      <a class="card" id="tea-${tea.slug}" href="product/${tea.slug}" data-link>
        ${tin(tea)}
        <h2>${tea.name}</h2>
        <p>${tea.from}</p>
        <b>${euros(tea.price)}</b>
      </a>`).join("")}
  </section>`;

const product = (tea) => `
  <section class="product">
    ${tin(tea)}
    <div>
      <p class="kind">${tea.kind} tea · ${tea.from}</p>
      <h1>${tea.name}</h1>
      <p>${tea.text}</p>
      <p class="price">${euros(tea.price)} <small>for 100 g</small></p>
      <button class="buy" id="add-to-cart">Add to cart</button>
      <a class="quiet" id="all-teas" href="./" data-link>All teas</a>
    </div>
  </section>`;

const about = () => `
  <section class="about">
    <h1>About this shop</h1>
    <p>Kettle &amp; Leaf is the demonstration shop of Tallymark. Walk around: open a tea, put it into the
      cart, sign in with any address, order. Then look at the dashboard, where each of your steps is counted
      exactly once.</p>
  </section>`;

function show() {
  const path = location.pathname.replace(/^\/demo\/?/, "");
  const tea = TEAS.find((one) => path === `product/${one.slug}`);
  const [title, html] = tea ? [tea.name, product(tea)] : path === "about" ? ["About", about()] : ["Teas", shelf()];
  document.title = `${title} · Kettle & Leaf`;
  view.innerHTML = html;
  view.querySelector("#add-to-cart")?.addEventListener("click", () => {
    cart.add(tea.slug);
    window.tallymark.track("add_to_cart", { product: tea.slug, kind: tea.kind, price: tea.price / 100, quantity: 1 });
    counted("add_to_cart", `${tea.name}, ${euros(tea.price)}`);
  });
  counted("view", location.pathname);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-link]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  if (link.href !== location.href) {
    history.pushState(null, "", link.href);
    show();
    view.focus();
    scrollTo(0, 0);
  }
});
addEventListener("popstate", show);

const who = document.querySelector("[data-who]");
document.querySelector("#sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const email = event.target.email.value;
  window.tallymark.identify(email);
  who.textContent = `Hello, ${email}`;
  counted("identify", email);
});

showCart();
show();
