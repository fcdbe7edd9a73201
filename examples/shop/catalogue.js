// What the shop sells. Prices are in cents.
export const TEAS = [
  { slug: "sencha", name: "Sencha", from: "Shizuoka, Japan", kind: "green", price: 1250, hue: 95, text: "Steamed within hours of picking. Grass, sea air, a little sweetness." },
  { slug: "darjeeling", name: "Darjeeling", from: "West Bengal, India", kind: "black", price: 1480, hue: 28, text: "First flush from a steep garden. Muscat grape, light as spring." },
  { slug: "oolong", name: "Tie Guan Yin", from: "Anxi, China", kind: "oolong", price: 1890, hue: 160, text: "Rolled by hand, opened by water. Orchid first, butter later." },
  { slug: "white-peony", name: "White Peony", from: "Fujian, China", kind: "white", price: 1690, hue: 50, text: "Two leaves and a bud, dried in the shade. Melon and hay." },
  { slug: "rooibos", name: "Rooibos", from: "Cederberg, South Africa", kind: "herbal", price: 790, hue: 12, text: "Red, round, and free of caffeine. Honey and warm wood." },
  { slug: "mint", name: "Moroccan Mint", from: "Meknès, Morocco", kind: "herbal", price: 690, hue: 140, text: "Strong, cool, and better with sugar than anybody admits." },
];

export const euros = (cents) => `€${(cents / 100).toFixed(2)}`;
