/**
 * Takes the text of `-o` apart at its commas: `a=b,c` gives ["a","b"] and ["c",""]. Commas between quotes
 * (`'` or `"`), brackets or braces belong to the word, as in `vlan://3{vde:///tmp/a}` or `vde:///a[port=1]`.
 */
export function splitOptions(data: string): [string, string][] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let depth = 0;
  for (const c of data) {
    if (quote) {
      if (c === quote) quote = '';
      else word += c;
    } else if (c === "'" || c === '"') quote = c;
    else if (c === ',' && depth === 0) {
      words.push(word);
      word = '';
    } else {
      if ('[{'.includes(c)) depth++;
      if (']}'.includes(c)) depth = Math.max(0, depth - 1);
      word += c;
    }
  }
  words.push(word);
  return words
    .map((text) => text.trim())
    .filter(Boolean)
    .map((text) => {
      const equals = text.includes('://') && !/^[a-z0-9_-]+=/i.test(text) ? -1 : text.indexOf('=');
      return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    });
}
