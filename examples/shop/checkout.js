// The second page: the cart as a table. The order itself is counted by the button's attributes alone.

import { TEAS, euros } from "./catalogue.js";
import { cart, counted, showCart } from "./common.js";

function show() {
  const lines = Object.entries(cart.lines())
    .map(([slug, quantity]) => ({ tea: TEAS.find((one) => one.slug === slug), quantity }))
    .filter((line) => line.tea);
  const total = lines.reduce((sum, { tea, quantity }) => sum + tea.price * quantity, 0);
  document.querySelector("[data-lines]").innerHTML = lines.length
    ? lines.map(({ tea, quantity }) => `
        <tr><td>${tea.name}</td><td>${quantity} × ${euros(tea.price)}</td><td>${euros(tea.price * quantity)}</td></tr>`).join("") +
      `<tr class="total"><td>Total</td><td></td><td>${euros(total)}</td></tr>`
    : "<tr><td>Nothing yet. The kettle is waiting.</td></tr>";
}

document.querySelector("#order").addEventListener("click", () => {
  cart.clear();
  show();
  document.querySelector("[data-thanks]").hidden = false;
});

showCart();
show();
counted("view", location.pathname);
