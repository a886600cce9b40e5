/** HTML by tagged template: every interpolated string is escaped, and only what a template made goes in unescaped. */

/** Markup that is safe to insert as it is. */
export interface SafeHtml {
  readonly safeHtml: string;
}

export type HtmlPart = SafeHtml | string | number | null | readonly HtmlPart[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text made harmless in element content and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** Declares a string to be markup. For our own templates, style sheets and figures only, never for data. */
export function trustedHtml(text: string): SafeHtml {
  return { safeHtml: text };
}

function renderPart(part: HtmlPart): string {
  if (part === null) return '';
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  return 'safeHtml' in part ? part.safeHtml : part.map(renderPart).join('');
}

/**
 * Tag for page templates: `` markup`<p>${text}</p>` `` escapes `text`; null vanishes, lists are joined. Attributes must be
 * quoted in the template.
 */
export function markup(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): SafeHtml {
  const pieces = strings.map((literal, i) => (i < parts.length ? literal + renderPart(parts[i] ?? null) : literal));
  return { safeHtml: pieces.join('') };
}
