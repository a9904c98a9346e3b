// Elements from values. All text goes through here: it stays text, and invisible characters become
// visible.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/**
 * The text with control, formatting (which can reverse the text that follows) and unassigned
 * characters as escapes: "a\u{202e}b".
 */
export function visible(text) {
  return String(text).replace(UNSEEN, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
}

/**
 * An element. Properties that are functions listen to the event of that name; null and false leave
 * an attribute out.
 */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) {
      // A form's values are data and come back to us as they are.
      made.setAttribute(name, name === "value" || name === "href" ? value : visible(value));
    }
  }
  made.append(
    ...children
      .flat(3)
      .filter((one) => one !== null && one !== undefined && one !== false)
      .map(node),
  );
  return made;
}

function node(child) {
  return child instanceof Node ? child : document.createTextNode(visible(child));
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(tag, given = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, visible(value));
  made.append(...children);
  return made;
}

/** Text of at most `limit` characters; a longer one is cut, with the whole as its title. */
export function cut(text, limit = 160) {
  const signs = [...visible(text)];
  return signs.length <= limit
    ? String(text)
    : h("span", { title: signs.slice(0, 2000).join("") }, `${signs.slice(0, limit - 1).join("")}…`);
}

/**
 * An element whose content follows data: it is rendered again when the data have changed, and keeps
 * focus and open details.
 */
export class Region {
  constructor(element, render) {
    this.element = element;
    this.render = render;
    this.shown = undefined;
  }

  show(...data) {
    const key = JSON.stringify(data);
    if (key === this.shown) return;
    const focused = this.element.contains(document.activeElement)
      ? document.activeElement.dataset.key
      : undefined;
    const held = this.element.contains(document.activeElement);
    const open = [...this.element.querySelectorAll("details[open][data-key]")].map(
      (one) => one.dataset.key,
    );
    this.element.replaceChildren(...[this.render(...data)].flat(3).filter(Boolean));
    for (const one of this.element.querySelectorAll("details[data-key]"))
      if (open.includes(one.dataset.key)) one.open = true;
    const successor =
      focused &&
      [...this.element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused);
    // If the focused element is gone, the content gets the focus, so that the tab key continues
    // there.
    if (held) (successor ?? document.getElementById("main")).focus({ preventScroll: !successor });
    this.shown = key;
  }
}
