/** What other serving frameworks call the same thing; keys as `plain` writes names. */
const SYNONYMS: Readonly<Record<string, string>> = {
  init: 'load',
  initialize: 'load',
  setup: 'load',
  start: 'load',
  infer: 'predict',
  inference: 'predict',
  run: 'predict',
  execute: 'predict',
  handle: 'predict',
  before: 'preprocess',
  after: 'postprocess',
  close: 'unload',
  dispose: 'unload',
  finalize: 'unload',
  stop: 'unload',
  idempotent: 'isIdempotent',
  pure: 'isPure',
  deterministic: 'isPure',
  cacheable: 'isPure',
  mediatypes: 'accepts',
  contenttypes: 'accepts',
  consumes: 'accepts',
};

/** Fewer letters in common say nothing: `pre` begins both preprocess and predict. */
const LEAST_COMMON = 4;

/** The member that an unknown name was likely meant to be: another spelling of it, one that begins alike, or another framework's word for it. */
export function suggestMember(name: string, members: readonly string[]): string | undefined {
  const word = plain(name);
  if (Object.hasOwn(SYNONYMS, word)) return SYNONYMS[word];
  let best: string | undefined;
  let longest = LEAST_COMMON - 1;
  for (const member of members) {
    const common = commonPrefix(word, plain(member));
    if (common > longest) [best, longest] = [member, common];
  }
  return best;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, '');
}

function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
