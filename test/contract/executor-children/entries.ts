/** The program's own child, compiled. */
export const CHILD_ENTRY = new URL('../../../dist/child.cjs', import.meta.url);

/** A child whose models are named by what they do. */
export const FAKE_CHILD_ENTRY = new URL('./fake-models.mjs', import.meta.url);

/** A child that never says hello. */
export const SILENT_CHILD_ENTRY = new URL('./silent.mjs', import.meta.url);

/** A child of another build. */
export const FOREIGN_CHILD_ENTRY = new URL('./foreign-build.mjs', import.meta.url);

/** A parent of a fake child, to be killed. */
export const PARENT_ENTRY = new URL('./parent.mjs', import.meta.url);
