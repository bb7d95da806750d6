// Safety of narrative XHTML. https://hl7.org/fhir/R4/narrative.html (txt-1)
const ELEMENTS = new Set('a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li map area ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var ins del bdo center font kbd strike u s'.split(' '));
const ATTRIBUTES = new Set('abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite class clear color colspan compact coords dir face frame headers height href hreflang hspace id lang longdesc name noshade nowrap rel rev rowspan rules scope shape size span src start style summary tabindex target title type usemap valign value vlink vspace width xml:lang xml:id xmlns xmlns:xlink'.split(' '));
const TAG = /<(\/?)([A-Za-z][A-Za-z0-9:]*)((?:\s+[A-Za-z_:][\w:.-]*\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>/y;
const ATTRIBUTE = /([A-Za-z_:][\w:.-]*)\s*=\s*("[^"]*"|'[^']*')/g;
const UNSAFE = /^["']?\s*(javascript|vbscript|data:text\/html)/i;

function attributeFault(text: string): string | undefined {
  for (const m of text.matchAll(ATTRIBUTE)) {
    if (!ATTRIBUTES.has(m[1].toLowerCase())) return `The attribute \`${m[1]}\` is not allowed in a narrative.`;
    if (/^(href|src)$/i.test(m[1]) && UNSAFE.test(m[2])) return `The attribute \`${m[1]}\` holds a script.`;
  }
  return undefined;
}

/** What is wrong with a narrative's div; undefined: nothing. */
export function narrativeFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'The narrative is a string of XHTML.';
  if (!/^\s*<div[\s>]/.test(value)) return 'The narrative is one `div`.';
  const stack: string[] = [];
  let content = false;
  let at = value.indexOf('<');
  let closed = -1;
  while (at >= 0) {
    TAG.lastIndex = at;
    const m = TAG.exec(value);
    if (!m) return 'The narrative is not well-formed XHTML.';
    if (m[2]) {
      const name = m[2].toLowerCase();
      if (!ELEMENTS.has(name)) return `The element \`${m[2]}\` is not allowed in a narrative.`;
      const f = attributeFault(m[3]);
      if (f) return f;
      if (name === 'img') content = true;
      if (m[1]) {
        if (stack.pop() !== name) return 'The narrative is not well-formed XHTML.';
      } else if (!m[4]) stack.push(name);
      if (!stack.length) closed = TAG.lastIndex;
    }
    const next = value.indexOf('<', TAG.lastIndex);
    if (/\S/.test(value.slice(TAG.lastIndex, next < 0 ? undefined : next))) content = true;
    if (closed >= 0 && /\S/.test(value.slice(closed))) return 'The narrative is one `div`.';
    at = next;
  }
  if (stack.length) return 'The narrative is not well-formed XHTML.';
  return content ? undefined : 'The narrative has some content.';
}
