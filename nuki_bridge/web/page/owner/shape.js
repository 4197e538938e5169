/** What the pictures of the owner's views are made of: SVG, which the page's own policy lets scripts draw. */

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} name @param {Record<string, string | number>} given attributes @param {...Node} inner @returns {SVGElement} */
export function shape(name, given, ...inner) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) node.setAttribute(key, String(value));
  node.append(...inner);
  return node;
}
