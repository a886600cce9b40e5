import { markup, trustedHtml, type HtmlPart, type SafeHtml } from './html.ts';

/** Building blocks that sections share: tables that scroll in their box, images, lists. */

/** A table; the first cell of each row is its header. `label` names the box for keyboards and screen readers. */
export function table(args: {
  readonly label: string;
  readonly head: readonly HtmlPart[];
  readonly rows: readonly (readonly HtmlPart[])[];
}): SafeHtml {
  const { label, head, rows } = args;
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>
<thead><tr>${head.map((cell) => markup`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([first, ...rest]) =>
      markup`<tr><th scope="row">${first ?? null}</th>${rest.map((cell) => markup`<td>${cell}</td>`)}</tr>\n`,
  )}</tbody></table></div>`;
}

/** A section with an anchor that the page's contents link to. */
export function section(id: string, title: string, ...content: readonly HtmlPart[]): SafeHtml {
  return markup`<section id="${id}"><h2>${title}</h2>\n${content}</section>\n`;
}

/** A PNG inside the page, with its caption. */
export function imageFigure(args: {
  readonly png: Uint8Array;
  readonly alt: string;
  readonly title: string;
  readonly caption: string;
  readonly chosen?: boolean;
}): SafeHtml {
  const { png, alt, title, caption, chosen = false } = args;
  const data = Buffer.from(png).toString('base64');
  return markup`<figure${chosen ? trustedHtml(' class="chosen"') : null}><img alt="${alt}" src="data:image/png;base64,${data}"><figcaption><b>${title}</b><span>${caption}</span></figcaption></figure>\n`;
}

/** The first `limit` items as a list, and how many more results.json holds. */
export function shortList(items: readonly string[], limit = 40): SafeHtml {
  const more = items.length - limit;
  return markup`<ul>${items.slice(0, limit).map((item) => markup`<li>${item}</li>`)}${
    more > 0 ? markup`<li class="soft">and ${more} more, all in results.json</li>` : null
  }</ul>`;
}

/** A list that stays folded until somebody asks for it. */
export function folded(title: string, content: HtmlPart): SafeHtml {
  return markup`<details><summary>${title}</summary>${content}</details>\n`;
}

/** First twelve hex digits of a hash, the whole of it on hover. */
export function hash(sha256: string): SafeHtml {
  return markup`<span class="hash" title="${sha256}">${sha256.slice(0, 12)}</span>`;
}
