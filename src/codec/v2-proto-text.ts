const LONGEST = 100;

/** A client's text as messages quote it: whole unless it is absurdly long, because messages travel in headers. */
export function clip(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
