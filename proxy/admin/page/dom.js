// Building and updating the page. Text from the server only ever goes in as text nodes.

export const byId = (id) => document.getElementById(id);

// el("td", {class: "number", title: "…"}, child or text, …); null and false are left out.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    setAttribute(node, key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== false));
  return node;
}

export function setAttribute(node, key, value) {
  if (value === null || value === undefined || value === false) {
    node.removeAttribute(key);
  } else if (node.getAttribute(key) !== String(value)) {
    node.setAttribute(key, value === true ? '' : value);
  }
}

// Leaves alone what is already so: a selection or a screen reader's place survives.
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

export function setPill(node, text, tone, title = null) {
  setText(node, text);
  setAttribute(node, 'data-tone', tone);
  setAttribute(node, 'title', title);
}

export const pill = (text, tone) => el('span', { class: 'pill', 'data-tone': tone }, text);

// A cell says its column itself where rows are stacked on a phone.
export function cell(label, attributes = {}, ...children) {
  return el('td', { role: 'cell', 'data-label': label, ...attributes }, ...children);
}

/*
 * Makes parent's children those of items, in order, by key. A node that stays is updated
 * in place and moved only if its place is another, so focus and unfolded rows stay too.
 */
export function reconcile(parent, items, keyOf, make, update) {
  const nodes = new Map();
  for (const node of [...parent.children]) {
    if (node.rowKey === undefined) {
      node.remove();
    } else {
      nodes.set(node.rowKey, node);
    }
  }
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of nodes) {
    if (!wanted.has(key)) {
      node.remove();
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = nodes.get(key);
    if (!node) {
      node = make(item);
      node.rowKey = key;
    }
    if (node === place) {
      place = place.nextElementSibling;
    } else {
      parent.insertBefore(node, place);
    }
    update(node, item);
  }
}

// Shows one row that says why there are no others.
export function showEmptyRow(body, columns, text) {
  body.replaceChildren(el('tr', { role: 'row' },
    el('td', { role: 'cell', class: 'empty', colspan: columns }, text)));
}

let fading = 0;

// Says a result on the page and to screen readers.
export function announce(text, tone = 'good') {
  const toast = byId('announcement');
  setAttribute(toast, 'data-tone', tone);
  toast.textContent = text;
  toast.classList.add('shown');
  clearTimeout(fading);
  fading = setTimeout(() => toast.classList.remove('shown'), 6000);
}
